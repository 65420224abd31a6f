-- kptn's three tables, column for column, so that kptn's own client can open this file.

CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    storage_key TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    task_id TEXT NOT NULL,
    code_hashes TEXT,
    input_hashes TEXT,
    input_data_hashes TEXT,
    outputs_version TEXT,
    output_data_version TEXT,
    status TEXT,
    start_time TEXT,
    end_time TEXT,
    subtask_count INTEGER DEFAULT 0,
    taskdata_count INTEGER DEFAULT 0,
    subset_count INTEGER DEFAULT 0,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE(storage_key, pipeline, task_id)
);

CREATE TABLE taskdata_bins (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    storage_key TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    task_id TEXT NOT NULL,
    bin_type TEXT NOT NULL,
    bin_id TEXT NOT NULL,
    data TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE(storage_key, pipeline, task_id, bin_type, bin_id),
    FOREIGN KEY(storage_key, pipeline, task_id) REFERENCES tasks(storage_key, pipeline, task_id) ON DELETE CASCADE
);

CREATE TABLE subtask_bins (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    storage_key TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    task_id TEXT NOT NULL,
    bin_id TEXT NOT NULL,
    data TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE(storage_key, pipeline, task_id, bin_id),
    FOREIGN KEY(storage_key, pipeline, task_id) REFERENCES tasks(storage_key, pipeline, task_id) ON DELETE CASCADE
);

CREATE INDEX idx_tasks_lookup ON tasks(storage_key, pipeline, task_id);
CREATE INDEX idx_tasks_pipeline ON tasks(storage_key, pipeline);
CREATE INDEX idx_taskdata_bins_lookup ON taskdata_bins(storage_key, pipeline, task_id, bin_type);
CREATE INDEX idx_subtask_bins_lookup ON subtask_bins(storage_key, pipeline, task_id);
