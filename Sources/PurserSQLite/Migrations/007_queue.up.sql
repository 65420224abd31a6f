-- 007: work that is queued for workers, what its states may follow on, types of work, and who works.

-- A row that was queued is a piece of work for a worker; each attempt at it is a row of its own, as for any run, and
-- names it by `queue_id`. Of a row that nobody queued, `queued_at` is NULL.
--
-- priority: higher goes first. attempts: how often it was claimed. max_attempts: how often it may be.
-- dedupe_key: SHA-256 (hex) of what makes it the same work; one that is active is there once.
-- timeout_ms: for one attempt. available_at: not before; NULL for at once.
-- tags: a JSON array of texts. active: 0 for what was taken out of the lists; history stays.
-- worker_id, claimed_at: who claimed it last, and when. The claim itself is a lease in task_locks.
ALTER TABLE task_runs ADD COLUMN queued_at TEXT;
ALTER TABLE task_runs ADD COLUMN queue_id INTEGER;
ALTER TABLE task_runs ADD COLUMN task_type_id INTEGER;
ALTER TABLE task_runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0 CHECK (priority BETWEEN -1000 AND 1000);
ALTER TABLE task_runs ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0);
ALTER TABLE task_runs ADD COLUMN max_attempts INTEGER NOT NULL DEFAULT 1 CHECK (max_attempts BETWEEN 1 AND 1000);
ALTER TABLE task_runs ADD COLUMN dedupe_key TEXT
    CHECK (dedupe_key IS NULL OR (length(dedupe_key) = 64 AND dedupe_key NOT GLOB '*[^0-9a-f]*'));
ALTER TABLE task_runs ADD COLUMN timeout_ms INTEGER CHECK (timeout_ms IS NULL OR timeout_ms > 0);
ALTER TABLE task_runs ADD COLUMN available_at TEXT;
ALTER TABLE task_runs ADD COLUMN tags TEXT
    CHECK (tags IS NULL OR (json_valid(tags) AND ltrim(tags, char(9, 10, 13, 32)) LIKE '[%'));
ALTER TABLE task_runs ADD COLUMN active INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1));
ALTER TABLE task_runs ADD COLUMN worker_id TEXT;
ALTER TABLE task_runs ADD COLUMN claimed_at TEXT;

-- The claim: the first entry of this index is the next piece of work. Only what can be claimed stands in it, so that it
-- does not grow with history.
CREATE INDEX idx_task_runs_claim ON task_runs(priority DESC, id)
    WHERE status = 'PENDING' AND queued_at IS NOT NULL AND available_at IS NULL AND active = 1;
-- What has to wait, and for how long: found once it is due.
CREATE INDEX idx_task_runs_available ON task_runs(available_at)
    WHERE status = 'PENDING' AND available_at IS NOT NULL AND active = 1;
-- The same work is not queued twice.
CREATE UNIQUE INDEX idx_task_runs_dedupe ON task_runs(dedupe_key) WHERE dedupe_key IS NOT NULL AND active = 1;
-- The queue's list, and the attempts at one piece of work.
CREATE INDEX idx_task_runs_queued ON task_runs(status, id) WHERE queued_at IS NOT NULL AND active = 1;
CREATE INDEX idx_task_runs_queue_id ON task_runs(queue_id) WHERE queue_id IS NOT NULL;
-- What is under way: for views and for whoever looks for the runs of dead workers.
CREATE INDEX idx_task_runs_open ON task_runs(status) WHERE finished_at IS NULL AND active = 1;
-- Events by kind: claims, failures, invalidations.
CREATE INDEX idx_task_events_event_type ON task_events(event_type, event_id);

-- States only go on; what ended badly, or was given back, may be pending again.
CREATE TRIGGER task_runs_state_insert BEFORE INSERT ON task_runs
WHEN NEW.status NOT IN ('PENDING', 'RUNNING')
BEGIN
    SELECT RAISE(ABORT, 'illegal state: a run begins as PENDING or RUNNING');
END;

CREATE TRIGGER task_runs_state_update BEFORE UPDATE OF status ON task_runs
WHEN NEW.status <> OLD.status AND NOT CASE OLD.status
    WHEN 'PENDING' THEN NEW.status <> 'COMPLETED'
    WHEN 'SUBMITTED' THEN 1
    WHEN 'VALIDATING' THEN NEW.status <> 'SUBMITTED'
    WHEN 'PREPARING' THEN NEW.status NOT IN ('SUBMITTED', 'VALIDATING')
    WHEN 'BUILDING' THEN NEW.status NOT IN ('SUBMITTED', 'VALIDATING', 'PREPARING')
    WHEN 'RUNNING' THEN NEW.status IN ('PENDING', 'COMPLETED', 'FAILED', 'CANCELLING', 'CANCELLED')
    WHEN 'CANCELLING' THEN NEW.status IN ('COMPLETED', 'FAILED', 'CANCELLED')
    WHEN 'FAILED' THEN NEW.status = 'PENDING'
    WHEN 'CANCELLED' THEN NEW.status = 'PENDING'
    ELSE 0 END
BEGIN
    SELECT RAISE(ABORT, 'illegal transition: a run does not go from this state to that');
END;

-- Types of work: what parameters they take, and the command that does them.
CREATE TABLE task_types (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    version TEXT NOT NULL CHECK (length(version) BETWEEN 1 AND 50),
    param_schema TEXT NOT NULL CHECK (json_valid(param_schema)),
    spec TEXT NOT NULL CHECK (json_valid(spec)),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (name, version)
);

-- Processes that claim work. `id` names one for good: a host, a process and a number of its own.
CREATE TABLE workers (
    id TEXT PRIMARY KEY,
    hostname TEXT NOT NULL,
    boot TEXT NOT NULL,
    pid INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    slots INTEGER NOT NULL CHECK (slots > 0),
    status TEXT NOT NULL CHECK (status IN ('ACTIVE', 'DRAINING', 'STOPPED', 'LOST')),
    registered_at TEXT NOT NULL,
    last_heartbeat TEXT NOT NULL,
    stopped_at TEXT,
    claimed INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX idx_workers_status ON workers(status, last_heartbeat);

-- What the store knows of itself: when it was last maintained, and what came of that.
CREATE TABLE system_state (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL CHECK (json_valid(value)),
    updated_at TEXT NOT NULL
) WITHOUT ROWID;

-- Whoever changes a row without saying when gets the time of the clock.
CREATE TRIGGER task_runs_updated_at AFTER UPDATE ON task_runs WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE task_runs SET updated_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE id = NEW.id;
END;
CREATE TRIGGER task_types_updated_at AFTER UPDATE ON task_types WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE task_types SET updated_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE id = NEW.id;
END;
CREATE TRIGGER workers_updated_at AFTER UPDATE ON workers WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE workers SET updated_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE id = NEW.id;
END;
CREATE TRIGGER system_state_updated_at AFTER UPDATE ON system_state WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE system_state SET updated_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE key = NEW.key;
END;
