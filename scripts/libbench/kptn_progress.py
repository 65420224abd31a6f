"""kptn_progress.py record UPDATES | read ITEMS: seconds that kptn's own client takes, on standard output.

An item is started and ended, which is two updates. The client gets a database file of its own.
"""

import sys
import tempfile
import time
from pathlib import Path

from kptn.caching.client.DbClientSQLite import DbClientSQLite
from kptn.caching.models import TaskState


def client(folder: str, items: int) -> DbClientSQLite:
    made = DbClientSQLite(storage_key="main", pipeline="bench", db_path=str(Path(folder) / "kptn.db"))
    made.create_task("each", TaskState())
    made.create_subtasks("each", [f"item-{number:05}" for number in range(items)])
    return made


def record(updates: int) -> float:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        made = client(folder, updates // 2)
        start = time.perf_counter()
        for number in range(updates // 2):
            made.set_subtask_started("each", str(number))
            made.set_subtask_ended("each", str(number))
        seconds = time.perf_counter() - start
        done = sum(bool(item.endTime) for item in made.get_subtasks("each"))
    if done != updates // 2:
        raise SystemExit(f"{done} of {updates // 2} items are done")
    return seconds


def read(items: int) -> float:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        made = client(folder, items)
        start = time.perf_counter()
        found = made.get_subtasks("each")
        seconds = time.perf_counter() - start
    if len(found) != items:
        raise SystemExit(f"{len(found)} of {items} items came back")
    return seconds


print({"record": record, "read": read}[sys.argv[1]](int(sys.argv[2])))
