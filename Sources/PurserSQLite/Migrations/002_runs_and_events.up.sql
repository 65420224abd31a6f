-- Every attempt, what happened, what depends on what, and who is at work.

CREATE TABLE task_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    storage_key TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    task_id TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT 'run' CHECK (kind IN ('run', 'restore', 'adopt')),
    status TEXT NOT NULL DEFAULT 'PENDING' CHECK (status IN (
        'PENDING', 'SUBMITTED', 'VALIDATING', 'PREPARING', 'BUILDING',
        'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLING', 'CANCELLED')),
    action_key BLOB,
    exit_code INTEGER,
    duration_us INTEGER,
    log_digest BLOB,
    reasons TEXT CHECK (reasons IS NULL OR json_valid(reasons)),
    submitted_configs TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(submitted_configs)),
    error_info TEXT CHECK (error_info IS NULL OR json_valid(error_info)),
    result_summary TEXT CHECK (result_summary IS NULL OR json_valid(result_summary)),
    execution_details TEXT CHECK (execution_details IS NULL OR json_valid(execution_details)),
    progress_details TEXT CHECK (progress_details IS NULL OR json_valid(progress_details)),
    created_by TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT
);

-- `runs TASK`, and the last run of a task.
CREATE INDEX idx_task_runs_task ON task_runs(storage_key, pipeline, task_id, id);

CREATE TABLE task_events (
    event_id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER REFERENCES task_runs(id) ON DELETE SET NULL,
    storage_key TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    task_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    event_data TEXT CHECK (event_data IS NULL OR json_valid(event_data)),
    previous_status TEXT,
    new_status TEXT,
    timestamp TEXT NOT NULL,
    actor TEXT
);

CREATE INDEX idx_task_events_task_id ON task_events(storage_key, pipeline, task_id);
CREATE INDEX idx_task_events_run_id ON task_events(run_id);

CREATE TABLE task_dependencies (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    storage_key TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    task_id TEXT NOT NULL,
    depends_on_task_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE(storage_key, pipeline, task_id, depends_on_task_id),
    CHECK (task_id <> depends_on_task_id),
    FOREIGN KEY(storage_key, pipeline, task_id) REFERENCES tasks(storage_key, pipeline, task_id) ON DELETE CASCADE
);

-- Downstream of a task: who depends on it.
CREATE INDEX idx_task_dependencies_upstream ON task_dependencies(storage_key, pipeline, depends_on_task_id);

-- Leases. The id grows with every lease ever taken, and so is the fencing token: whoever publishes must still hold
-- the row that it was given.
CREATE TABLE task_locks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lock_key TEXT NOT NULL UNIQUE,
    run_id INTEGER REFERENCES task_runs(id) ON DELETE CASCADE,
    worker_id TEXT NOT NULL,
    owner_pid INTEGER NOT NULL,
    owner_start INTEGER NOT NULL,
    child_pid INTEGER,
    child_start INTEGER,
    child_group INTEGER,
    acquired_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
);

CREATE INDEX idx_task_locks_run_id ON task_locks(run_id);
