"""sqlite_records.py RECORDS EVENTS COUNT: latencies of the least that a store of task records has to do, as JSON.

kptn's tables, with their indexes, and events with three, in WAL mode; one record or event a transaction.
"""

import json
import random
import sqlite3
import sys
import tempfile
from pathlib import Path

from latency import timed

SCHEMA = """
CREATE TABLE tasks (id INTEGER PRIMARY KEY, storage_key TEXT NOT NULL, pipeline TEXT NOT NULL, task_id TEXT NOT NULL,
    code_hashes TEXT, input_hashes TEXT, outputs_version TEXT, status TEXT, start_time TEXT, end_time TEXT,
    UNIQUE (storage_key, pipeline, task_id));
CREATE TABLE bins (id INTEGER PRIMARY KEY, storage_key TEXT NOT NULL, pipeline TEXT NOT NULL, task_id TEXT NOT NULL,
    bin_id TEXT NOT NULL, data TEXT NOT NULL, UNIQUE (storage_key, pipeline, task_id, bin_id),
    FOREIGN KEY (storage_key, pipeline, task_id) REFERENCES tasks (storage_key, pipeline, task_id) ON DELETE CASCADE);
CREATE TABLE events (id INTEGER PRIMARY KEY, run INTEGER, task TEXT NOT NULL, type TEXT NOT NULL, time TEXT NOT NULL);
CREATE INDEX events_run ON events (run);
CREATE INDEX events_task ON events (task);
CREATE INDEX events_type ON events (type, id);
"""
FILL = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO events (run, task, type, time) SELECT i / 2, 'task-' || (i % 10000), 'STARTED', ? FROM n"""
TIME, HASH = "2020-01-01T00:00:00.000000Z", "0" * 64
records, events, count = map(int, sys.argv[1:])


def transaction(statement: str, values: tuple) -> None:
    database.execute("BEGIN IMMEDIATE")
    database.execute(statement, values)
    database.execute("COMMIT")


def create(number: int) -> None:
    transaction(
        "INSERT INTO tasks (storage_key, pipeline, task_id, code_hashes, input_hashes, outputs_version, status, "
        "start_time, end_time) VALUES ('main', 'bench', ?, ?, ?, ?, 'SUCCESS', ?, ?)",
        (f"task-{number}", HASH, HASH, HASH, TIME, TIME))


def event(number: int) -> None:
    transaction("INSERT INTO events (run, task, type, time) VALUES (?, ?, ?, ?)",
                (number, f"task-{number % 10000}", "FINISHED", TIME))


def get_one(_: int) -> None:
    query = "SELECT * FROM tasks WHERE storage_key = 'main' AND pipeline = 'bench' AND task_id = ?"
    assert database.execute(query, (f"task-{random.randrange(records)}",)).fetchone()


def get_all(_: int) -> None:
    found = database.execute("SELECT * FROM tasks WHERE storage_key = 'main' AND pipeline = 'bench' ORDER BY task_id")
    assert len(found.fetchall()) >= records


def delete() -> dict:
    """A record with 50,000 items in bins of 500."""
    data = json.dumps([{"index": index, "key": f"item-{index}", "startTime": None, "endTime": None,
                        "outputHash": None} for index in range(500)])
    for number in range(5):
        create(-1 - number)
        database.execute("BEGIN")
        database.executemany("INSERT INTO bins (storage_key, pipeline, task_id, bin_id, data) VALUES (?, ?, ?, ?, ?)",
                             [("main", "bench", f"task-{-1 - number}", str(bin_), data) for bin_ in range(100)])
        database.execute("COMMIT")
    statement = "DELETE FROM tasks WHERE storage_key = 'main' AND pipeline = 'bench' AND task_id = ?"
    return timed(5, lambda number: transaction(statement, (f"task-{-1 - number}",)))


with tempfile.TemporaryDirectory(dir=".") as folder:
    database = sqlite3.connect(Path(folder) / "records.db", isolation_level=None)
    for setting in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        database.execute(f"PRAGMA {setting}")
    database.executescript(SCHEMA)
    figures = {"create": timed(records, create), "getOne": timed(count, get_one), "getAll": timed(5, get_all)}
    database.execute("PRAGMA secure_delete = FAST")
    figures["delete"] = delete()
    database.execute(FILL, (events, TIME))
    figures["event"] = timed(count, event)
    database.execute("PRAGMA synchronous = FULL")
    durable = count // 10
    figures["createDurable"] = timed(durable, lambda number: create(records + number))
    figures["eventDurable"] = timed(durable, event)
    database.close()
print(json.dumps(figures))
