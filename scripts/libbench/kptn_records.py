"""kptn_records.py RECORDS COUNT: latencies of kptn's own client with that many task records, as JSON."""

import json
import random
import sys
import tempfile
from pathlib import Path

from kptn.caching.client.DbClientSQLite import DbClientSQLite
from kptn.caching.models import TaskState
from latency import timed

records, count = map(int, sys.argv[1:])
with tempfile.TemporaryDirectory(dir=".") as folder:
    client = DbClientSQLite(storage_key="main", pipeline="bench", db_path=str(Path(folder) / "kptn.db"))
    figures = {
        "create": timed(records, lambda number: client.create_task(f"task-{number}", TaskState())),
        "getOne": timed(count, lambda _: client.get_task(f"task-{random.randrange(records)}")),
        "getAll": timed(5, lambda _: client.get_tasks("bench")),
    }
    if len(client.get_tasks("bench")) != records:
        raise SystemExit("not every record came back")
    for number in range(3):
        client.create_task(f"each-{number}", TaskState())
        client.create_subtasks(f"each-{number}", [f"item-{item}" for item in range(50_000)])
    figures["delete"] = timed(3, lambda number: client.delete_task(f"each-{number}"))
print(json.dumps(figures))
