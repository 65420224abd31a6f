-- 009: what executions left, how far they are, and branches as they were.

-- dag_id: whose it is. Any text; Purser's own are JSON arrays: ["KEY","PIPELINE"] for what the tasks of a pipeline left,
-- ["KEY","PIPELINE","RUN"] for one run of it, ["KEY"] for a branch.
-- size, digest: of the value before it was compressed (zstd, level 3): bytes, and SHA-256.
-- snapshot_id: 16 hexadecimal digits, by chance: time is no name, since two may be taken at one moment.
-- held_results, held_keys: what is kept for a snapshot: numbers of results (varints), and the first 8 bytes of action and
-- content keys.

CREATE TABLE artifacts (
    dag_id TEXT NOT NULL,
    node_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL CHECK (json_valid(value)),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (dag_id, node_id, key)
) WITHOUT ROWID;

CREATE TABLE execution_trees (
    dag_id TEXT PRIMARY KEY NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    size INTEGER NOT NULL,
    digest BLOB NOT NULL,
    tree_data BLOB NOT NULL
);

CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    snapshot_id TEXT NOT NULL UNIQUE,
    dag_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    note TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at TEXT NOT NULL,
    tasks INTEGER NOT NULL,
    subtasks INTEGER NOT NULL,
    size INTEGER NOT NULL,
    digest BLOB NOT NULL,
    held_results BLOB NOT NULL,
    held_keys BLOB NOT NULL,
    snapshot_data BLOB NOT NULL
);

CREATE INDEX idx_snapshots_dag_id ON snapshots(dag_id);

CREATE TABLE execution_state (
    dag_id TEXT NOT NULL,
    state_type TEXT NOT NULL CHECK (state_type IN ('active', 'pending')),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    size INTEGER NOT NULL,
    digest BLOB NOT NULL,
    state_data BLOB NOT NULL,
    PRIMARY KEY (dag_id, state_type)
);
