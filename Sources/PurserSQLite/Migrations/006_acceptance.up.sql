-- 006: results that somebody vouched for, and marks that can be taken back.

-- For one task on one storage key, and for nobody else: a result stands for a fingerprint that it was not made from,
-- because somebody said that what had changed is harmless ('accepted'), or took over outputs that were made without
-- Purser ('adopted'). Hung from the record, on the safe side: dropped with it, or when kptn's client replaces it.
--
-- action_key: the fingerprint that the result stands for. A record that rests on such a row has this key and this
--   result; that the result's own key is another is how it is told.
-- result_id: the result. That of an adoption has a key that is no fingerprint's, so that nothing leads to it but this
--   row.
-- former_key: the fingerprint of the record before; NULL for an adoption.
-- declared_key: of a task with a dep file, the key of what is declared alone, as in action_results.
-- item_key, former_item_key: of a mapped task whose items changed with it, what their content keys are made from, now
--   and before: an item that was done before stands for the one of now.
-- changes: what differed, as a JSON array of {"group","name","was","is"}.
--
-- A clone of a branch copies the rows under its own storage key, without their ids: see BranchTable. They are that
-- branch's own words from then on.
CREATE TABLE acceptances (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    storage_key TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    task_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('accepted', 'adopted')),
    action_key BLOB NOT NULL CHECK (length(action_key) = 32),
    result_id INTEGER NOT NULL REFERENCES action_results(id) ON DELETE CASCADE,
    former_key BLOB CHECK (former_key IS NULL OR length(former_key) = 32),
    declared_key BLOB CHECK (declared_key IS NULL OR length(declared_key) = 32),
    item_key BLOB CHECK (item_key IS NULL OR length(item_key) = 32),
    former_item_key BLOB CHECK (former_item_key IS NULL OR length(former_item_key) = 32),
    changes TEXT NOT NULL CHECK (json_valid(changes)),
    accepted_at TEXT NOT NULL,
    accepted_by TEXT NOT NULL,
    why TEXT NOT NULL,
    UNIQUE (storage_key, pipeline, task_id, action_key),
    FOREIGN KEY (storage_key, pipeline, task_id) REFERENCES tasks(storage_key, pipeline, task_id) ON DELETE CASCADE
);

CREATE INDEX idx_acceptances_result ON acceptances(result_id);

-- The number of the run that made a result, whatever becomes of the run's own row; 0 where that is not known. A run
-- that began before a mark and ended after it makes nothing that counts.
ALTER TABLE action_results ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;
UPDATE action_results SET begun = run_id WHERE run_id IS NOT NULL;
ALTER TABLE item_results ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;

-- What was made by runs up to this number is void too. `on_all_keys`: whether the mark is part of one on all keys.
ALTER TABLE invalidations ADD COLUMN run_horizon INTEGER NOT NULL DEFAULT 0;
ALTER TABLE invalidations ADD COLUMN on_all_keys INTEGER NOT NULL DEFAULT 0;

-- Marks whose place a later one took: when that is taken back, they stand again. The later one voids all that they do,
-- so that nobody else has to look here.
CREATE TABLE earlier_invalidations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    storage_key TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    task_id TEXT NOT NULL,
    horizon INTEGER NOT NULL,
    item_horizon INTEGER NOT NULL,
    run_horizon INTEGER NOT NULL,
    on_all_keys INTEGER NOT NULL,
    invalidated_at TEXT NOT NULL,
    invalidated_by TEXT NOT NULL,
    why TEXT NOT NULL
);

CREATE INDEX idx_earlier_invalidations_task ON earlier_invalidations(storage_key, pipeline, task_id, id);

-- Marks on all keys, those to come included. `invalidated_at` of a result that is void everywhere is that of its mark.
CREATE TABLE all_keys_marks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline TEXT NOT NULL,
    task_id TEXT NOT NULL,
    run_horizon INTEGER NOT NULL,
    invalidated_at TEXT NOT NULL,
    invalidated_by TEXT NOT NULL,
    why TEXT NOT NULL
);

CREATE INDEX idx_all_keys_marks_task ON all_keys_marks(pipeline, task_id, id);
CREATE INDEX idx_all_keys_marks_run ON all_keys_marks(run_horizon);

-- Which results each of them voids: one that is taken back frees those that no other one voids.
CREATE TABLE void_results (
    result_id INTEGER NOT NULL REFERENCES action_results(id) ON DELETE CASCADE,
    mark_id INTEGER NOT NULL REFERENCES all_keys_marks(id) ON DELETE CASCADE,
    PRIMARY KEY (result_id, mark_id)
) WITHOUT ROWID;

CREATE INDEX idx_void_results_mark ON void_results(mark_id);

CREATE TABLE void_item_results (
    item_result_id INTEGER NOT NULL REFERENCES item_results(id) ON DELETE CASCADE,
    mark_id INTEGER NOT NULL REFERENCES all_keys_marks(id) ON DELETE CASCADE,
    PRIMARY KEY (item_result_id, mark_id)
) WITHOUT ROWID;

CREATE INDEX idx_void_item_results_mark ON void_item_results(mark_id);

-- Those of before are told by the results that they voided.
UPDATE invalidations SET on_all_keys = 1
WHERE invalidated_at IN (
    SELECT invalidated_at FROM action_results WHERE invalidated_at IS NOT NULL
    UNION SELECT invalidated_at FROM item_results WHERE invalidated_at IS NOT NULL);
INSERT INTO all_keys_marks (pipeline, task_id, run_horizon, invalidated_at, invalidated_by, why)
SELECT pipeline, task_id, 0, invalidated_at, min(invalidated_by), min(why) FROM invalidations WHERE on_all_keys
GROUP BY pipeline, task_id, invalidated_at;
INSERT INTO void_results (result_id, mark_id)
SELECT r.id, m.id FROM action_results r JOIN all_keys_marks m ON m.invalidated_at = r.invalidated_at;
INSERT INTO void_item_results (item_result_id, mark_id)
SELECT r.id, m.id FROM item_results r JOIN all_keys_marks m ON m.invalidated_at = r.invalidated_at;
