-- What tasks were made from, what they made, and where the bytes are.

-- Contents by SHA-256. Up to 16 KiB they stand here; larger ones are files, and `content` is NULL.
CREATE TABLE blobs (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    size INTEGER NOT NULL,
    encoding INTEGER NOT NULL CHECK (encoding IN (0, 1)),   -- 0: as it is, 1: zstd
    content BLOB,
    created_at TEXT NOT NULL
);

-- Components are interned, and so are the sets that the three groups of a fingerprint are: a hundred thousand records
-- over the same files hold each file once and each set once. `members` is a list of component ids as varints.
CREATE TABLE components (
    id INTEGER PRIMARY KEY,
    tag INTEGER NOT NULL,
    name BLOB NOT NULL,
    value BLOB NOT NULL,
    UNIQUE(tag, name, value)
);

CREATE TABLE component_sets (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    members BLOB NOT NULL
);

CREATE TABLE fingerprints (
    action_key BLOB PRIMARY KEY CHECK (length(action_key) = 32),
    code_set INTEGER NOT NULL REFERENCES component_sets(id),
    inputs_set INTEGER NOT NULL REFERENCES component_sets(id),
    data_set INTEGER NOT NULL REFERENCES component_sets(id)
) WITHOUT ROWID;

-- Listings of hashed folders, so that a changed file in one can be named.
CREATE TABLE tree_nodes (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    listing BLOB NOT NULL
) WITHOUT ROWID;

-- Never updated but for the mark: a record on another branch may hold on to an older result of the same action.
CREATE TABLE action_results (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    action_key BLOB NOT NULL CHECK (length(action_key) = 32),
    outputs_version BLOB NOT NULL CHECK (length(outputs_version) = 32),
    manifest BLOB NOT NULL,
    log_digest BLOB,
    duration_us INTEGER NOT NULL,
    storage_key TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    task_id TEXT NOT NULL,
    run_id INTEGER REFERENCES task_runs(id) ON DELETE SET NULL,
    created_at TEXT NOT NULL,
    invalidated_at TEXT
);

CREATE INDEX idx_action_results_key ON action_results(action_key, id);
CREATE INDEX idx_action_results_producer ON action_results(pipeline, task_id);
CREATE INDEX idx_action_results_run_id ON action_results(run_id);

CREATE TABLE result_blobs (
    result_id INTEGER NOT NULL REFERENCES action_results(id) ON DELETE CASCADE,
    blob_id INTEGER NOT NULL REFERENCES blobs(id),
    PRIMARY KEY (result_id, blob_id)
) WITHOUT ROWID;

CREATE INDEX idx_result_blobs_blob ON result_blobs(blob_id);

-- What a run keeps alive beside its result: its log, and content that it was about to remove or overwrite.
CREATE TABLE run_blobs (
    run_id INTEGER NOT NULL REFERENCES task_runs(id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('log', 'saved')),
    path BLOB NOT NULL,
    blob_id INTEGER NOT NULL REFERENCES blobs(id),
    PRIMARY KEY (run_id, role, path)
) WITHOUT ROWID;

CREATE INDEX idx_run_blobs_blob ON run_blobs(blob_id);

-- What Purser knows of a task beyond kptn's columns. Goes with the row when kptn's client replaces it.
CREATE TABLE task_details (
    task_row INTEGER PRIMARY KEY REFERENCES tasks(id) ON DELETE CASCADE,
    action_key BLOB,
    result_id INTEGER REFERENCES action_results(id) ON DELETE SET NULL,
    run_id INTEGER REFERENCES task_runs(id) ON DELETE SET NULL,
    spec TEXT CHECK (spec IS NULL OR json_valid(spec))
);

CREATE INDEX idx_task_details_result ON task_details(result_id);
CREATE INDEX idx_task_details_run ON task_details(run_id);

-- Results up to number `horizon` are neither fresh nor restorable for this task. Not hung from `tasks`: a mark must
-- outlive a replaced record.
CREATE TABLE invalidations (
    storage_key TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    task_id TEXT NOT NULL,
    horizon INTEGER NOT NULL,
    invalidated_at TEXT NOT NULL,
    invalidated_by TEXT NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (storage_key, pipeline, task_id)
) WITHOUT ROWID;
