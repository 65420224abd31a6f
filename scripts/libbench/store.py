"""A record store filled with history, by SQL, in one transaction: what a year of runs leaves behind, in seconds."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Rows as runs and workers leave them, over all the tasks in turn.
COUNTED = "WITH RECURSIVE counted(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < :count)"
PAST = """
INSERT INTO task_runs (storage_key, pipeline, task_id, status, action_key, exit_code, duration_us, reasons, created_by,
    created_at, updated_at, started_at, finished_at)
SELECT 'main', 'bench', 'task-' || (n % :tasks), 'COMPLETED', randomblob(32), 0, 1000, '[{"kind":"neverRan"}]',
    'bench@here', :time, :time, :time, :time FROM counted"""
EVENTS = """
INSERT INTO task_events (run_id, storage_key, pipeline, task_id, event_type, new_status, timestamp, actor)
SELECT id, storage_key, pipeline, task_id, :type, :status, created_at, created_by FROM task_runs WHERE id > :last"""
QUEUED = """
INSERT INTO task_runs (storage_key, pipeline, task_id, status, submitted_configs, max_attempts, created_by, created_at,
    updated_at, queued_at)
SELECT 'main', 'bench', 'work-' || n, 'PENDING', '{"root":"/r","task":"t"}', 1, 'bench@here', :time, :time, :time
FROM counted"""


# Ninety thousand more of ten: as the records that there are, of the same runs and results.
RECORDS = """
INSERT INTO tasks (storage_key, pipeline, task_id, code_hashes, input_hashes, input_data_hashes, outputs_version,
    status, start_time, end_time, created_at, updated_at)
SELECT storage_key, pipeline, task_id || '-' || n, code_hashes, input_hashes, input_data_hashes, outputs_version,
    status, start_time, end_time, created_at, updated_at FROM counted, tasks WHERE id <= :last ORDER BY n, id"""
DETAILS = """
INSERT INTO task_details (task_row, action_key, result_id, run_id, spec)
SELECT new.id, d.action_key, d.result_id, d.run_id, d.spec FROM counted, tasks old
    JOIN task_details d ON d.task_row = old.id
    JOIN tasks new ON new.storage_key = old.storage_key AND new.pipeline = old.pipeline
        AND new.task_id = old.task_id || '-' || n
WHERE old.id <= :last"""
BINS = """
INSERT INTO subtask_bins (storage_key, pipeline, task_id, bin_id, data, created_at, updated_at)
SELECT storage_key, pipeline, task_id, '0', :items, updated_at, updated_at FROM tasks ORDER BY id"""


@contextmanager
def transaction(folder: Path) -> Iterator[sqlite3.Connection]:
    """One of a closed store, not synced."""
    database = sqlite3.connect(folder / "records.db", isolation_level=None)
    for setting in ("synchronous = OFF", "cache_size = -200000"):
        database.execute(f"PRAGMA {setting}")
    database.execute("BEGIN IMMEDIATE")
    yield database
    database.execute("COMMIT")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def multiply(folder: Path, times: int) -> None:
    """So many times as many records."""
    with transaction(folder) as database:
        (last,) = database.execute("SELECT max(id) FROM tasks").fetchone()
        for statement in (RECORDS, DETAILS):
            database.execute(statement.replace("INSERT", f"{COUNTED} INSERT", 1), {"count": times - 1, "last": last})


def give_items(folder: Path, each: int) -> None:
    """So many finished items to each record, in one bin."""
    time = "2026-01-01T00:00:00.000000Z"
    items = [{"i": index, "key": f"item-{index:05}", "startTime": time, "endTime": time, "outputHash": None,
              "status": "done"} for index in range(each)]
    with transaction(folder) as database:
        database.execute(BINS, {"items": json.dumps(items, separators=(",", ":"))})
        database.execute("UPDATE tasks SET subtask_count = ?", (each,))


def fill(folder: Path, runs: int, tasks: int, queued: int = 0) -> None:
    """Adds finished runs with two events each, and queued work with one; the triggers on states step aside."""
    with transaction(folder) as database:
        insert(database, runs, tasks, queued)


def insert(database: sqlite3.Connection, runs: int, tasks: int, queued: int) -> None:
    triggers = database.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'task_runs'").fetchall()
    for name, _ in triggers:
        database.execute(f"DROP TRIGGER {name}")
    values = {"tasks": tasks, "time": "2026-01-01T00:00:00.000000Z"}
    for statement, count, events in ((PAST, runs, ("STARTED", "FINISHED")), (QUEUED, queued, ("QUEUED",))):
        if not count:
            continue
        (last,) = database.execute("SELECT coalesce(max(id), 0) FROM task_runs").fetchone()
        database.execute(f"{COUNTED} {statement}", {**values, "count": count})
        for type_ in events:
            database.execute(EVENTS, {"type": type_, "status": type_, "last": last})
    for _, sql in triggers:
        database.execute(sql)
