"""A record store filled with history, by SQL, in one transaction: what a year of runs leaves behind, in seconds."""

import sqlite3
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


def fill(folder: Path, runs: int, tasks: int, queued: int = 0) -> None:
    """Adds finished runs with two events each, and queued work with one; the triggers on states step aside."""
    database = sqlite3.connect(folder / "records.db", isolation_level=None)
    for setting in ("synchronous = OFF", "cache_size = -200000"):
        database.execute(f"PRAGMA {setting}")
    database.execute("BEGIN IMMEDIATE")
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
    database.execute("COMMIT")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
