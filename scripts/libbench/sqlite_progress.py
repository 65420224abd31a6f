"""sqlite_progress.py ROWS_A_TRANSACTION ROWS: seconds that the least possible recording takes, on standard output.

A small row for each update, appended to one table, in WAL mode with synchronous=FULL.
"""

import sqlite3
import sys
import tempfile
import time
from pathlib import Path

each, total = int(sys.argv[1]), int(sys.argv[2])
rows = [(number, "2020-01-01T00:00:00.000000Z", "done") for number in range(total)]
with tempfile.TemporaryDirectory(dir=".") as folder:
    database = sqlite3.connect(Path(folder) / "progress.db", isolation_level=None)
    for setting in ("journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {setting}")
    database.execute("CREATE TABLE progress (item INTEGER NOT NULL, time TEXT NOT NULL, status TEXT NOT NULL)")
    start = time.perf_counter()
    for first in range(0, total, each):
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO progress VALUES (?, ?, ?)", rows[first:first + each])
        database.execute("COMMIT")
    seconds = time.perf_counter() - start
    (count,) = database.execute("SELECT count(*) FROM progress").fetchone()
    database.close()
if count != total:
    raise SystemExit(f"{count} of {total} rows are there")
print(seconds)
