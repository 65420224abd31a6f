-- Progress of mapped items between two foldings into their bins, what items made, and task data by its content.

-- One small row per event. `id` is the task's row times 2^32 and a number that begins again at 1 when the journal of the
-- task has been folded: each task's events stand together, in their order, without an index beside them, and an event by
-- itself dirties one page. (A table WITHOUT ROWID by task and number wrote twice as much: only rowid tables are filled
-- to the end when rows are appended.) Events of item 1234 belong to bin "2". `status`: 1 running, 2 done, 3 failed.
CREATE TABLE subtask_events (
    id INTEGER PRIMARY KEY,
    task_row INTEGER NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    item INTEGER NOT NULL CHECK (item >= 0),
    status INTEGER NOT NULL CHECK (status IN (1, 2, 3)),
    time TEXT NOT NULL,
    output_hash TEXT,
    error TEXT,
    content_key BLOB CHECK (content_key IS NULL OR length(content_key) = 32)
);

-- As action_results, for one item: known by what it was made from, on every storage key.
CREATE TABLE item_results (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    content_key BLOB NOT NULL CHECK (length(content_key) = 32),
    manifest BLOB NOT NULL,
    data TEXT,
    duration_us INTEGER NOT NULL,
    storage_key TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    task_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    invalidated_at TEXT
);

CREATE INDEX idx_item_results_key ON item_results(content_key);

CREATE TABLE item_blobs (
    item_result_id INTEGER NOT NULL REFERENCES item_results(id) ON DELETE CASCADE,
    blob_id INTEGER NOT NULL REFERENCES blobs(id),
    PRIMARY KEY (item_result_id, blob_id)
) WITHOUT ROWID;

CREATE INDEX idx_item_blobs_blob ON item_blobs(blob_id);

-- A task's data as a content (JSON text), and how many items it has; NULL for none.
ALTER TABLE action_results ADD COLUMN data_digest BLOB;
ALTER TABLE action_results ADD COLUMN data_count INTEGER;

-- Item results up to this number are void for the task, as action results are up to `horizon`.
ALTER TABLE invalidations ADD COLUMN item_horizon INTEGER NOT NULL DEFAULT 0;
