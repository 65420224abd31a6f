"""sqlite_claims.py PROCESSES QUEUED SECONDS: claims from a plain table by many processes, as JSON.

A claim is one UPDATE … RETURNING by a partial index (NORMAL), its end another UPDATE (FULL), each a transaction in WAL
mode. Who finds the database locked polls, as SQLite's busy handler does.
"""

import json
import multiprocessing
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from latency import summary

CLAIM = """UPDATE runs SET status = 'SUBMITTED', worker = ? WHERE id = (
    SELECT id FROM runs WHERE status = 'PENDING' ORDER BY priority DESC, id LIMIT 1) RETURNING id"""


def connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, timeout=30)
    database.execute("PRAGMA journal_mode = WAL")
    return database


def work(path: Path, worker: int, seconds: float, barrier, results) -> None:
    database = connect(path)
    barrier.wait()
    samples, end = [], time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        database.execute("PRAGMA synchronous = NORMAL")
        rows = database.execute(CLAIM, (worker,)).fetchall()
        if not rows:
            break
        had = time.monotonic()
        database.execute("PRAGMA synchronous = FULL")
        database.execute("UPDATE runs SET status = 'COMPLETED' WHERE id = ?", rows[0])
        samples.append((began, had, time.monotonic()))
    results.put(samples)


processes, queued, limit = map(int, sys.argv[1:])
with tempfile.TemporaryDirectory(dir=".") as folder:
    file = Path(folder) / "claims.db"
    made = connect(file)
    made.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, status TEXT NOT NULL, priority INTEGER NOT NULL, worker INT)")
    made.execute("CREATE INDEX runs_claim ON runs (priority DESC, id) WHERE status = 'PENDING'")
    made.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                 "INSERT INTO runs (status, priority) SELECT 'PENDING', 0 FROM n", (queued,))
    made.close()
    start, queue = multiprocessing.Barrier(processes), multiprocessing.Queue()
    crew = [multiprocessing.Process(target=work, args=(file, number, limit, start, queue)) for number in range(processes)]
    for member in crew:
        member.start()
    lists = [queue.get() for _ in crew]
    for member in crew:
        member.join()
every = [sample for samples in lists for sample in samples]
span = max(ended for _, _, ended in every) - min(began for began, _, _ in every)
counts = [len(samples) for samples in lists]
print(json.dumps({
    "claim": summary([had - began for began, had, _ in every]),
    "claimAndConclude": summary([ended - began for began, _, ended in every]),
    "seconds": span, "perSecond": len(every) / span, "workers": processes, "least": min(counts), "most": max(counts),
    "unserved": counts.count(0),
}))
