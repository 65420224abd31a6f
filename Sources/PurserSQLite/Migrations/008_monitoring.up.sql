-- 008: views for whoever watches. None is asked on the way of a run.

-- Tasks that somebody is at: their records, and the lease behind each.
CREATE VIEW active_tasks AS
SELECT t.storage_key, t.pipeline, t.task_id, t.status, t.start_time, n.id AS run_id, n.kind, n.created_by,
    l.owner_pid, l.child_pid, l.acquired_at, l.expires_at
FROM task_runs n JOIN tasks t USING (storage_key, pipeline, task_id)
LEFT JOIN task_locks l ON l.id = (SELECT min(id) FROM task_locks WHERE run_id = n.id)
WHERE n.finished_at IS NULL AND n.active = 1 AND n.queued_at IS NULL AND n.status = 'RUNNING';

-- Work that waits, in the order in which it will be claimed.
CREATE VIEW pending_task_runs AS
SELECT id, storage_key, pipeline, task_id, priority, attempts, max_attempts, queued_at, available_at, created_by, tags
FROM task_runs WHERE status = 'PENDING' AND queued_at IS NOT NULL AND active = 1
ORDER BY available_at IS NOT NULL, available_at, priority DESC, id;

-- Workers that say they are there, and for how long they have not said so.
CREATE VIEW active_workers AS
SELECT id, hostname, pid, slots, status, registered_at, last_heartbeat, claimed, completed, failed,
    CAST((julianday('now') - julianday(last_heartbeat)) * 86400 AS INTEGER) AS seconds_since_heartbeat
FROM workers WHERE status IN ('ACTIVE', 'DRAINING');

-- What tasks take, over all that is remembered of their runs.
CREATE VIEW task_execution_stats AS
SELECT storage_key, pipeline, task_id, count(*) AS runs,
    sum(status = 'COMPLETED' AND kind = 'run') AS executed, sum(status = 'COMPLETED' AND kind = 'restore') AS restored,
    sum(status = 'FAILED') AS failed, sum(status = 'CANCELLED') AS cancelled,
    avg(CASE WHEN status = 'COMPLETED' AND kind = 'run' THEN duration_us END) AS average_us,
    max(CASE WHEN status = 'COMPLETED' AND kind = 'run' THEN duration_us END) AS longest_us,
    max(finished_at) AS last_finished_at
FROM task_runs WHERE queued_at IS NULL AND active = 1 GROUP BY storage_key, pipeline, task_id;

-- The queue by state.
CREATE VIEW task_stats AS
SELECT status, count(*) AS count, avg(attempts) AS avg_attempts, max(attempts) AS max_attempts
FROM task_runs WHERE queued_at IS NOT NULL AND active = 1 GROUP BY status;

-- What each worker did with what it claimed last.
CREATE VIEW worker_stats AS
SELECT worker_id, count(*) AS tasks_processed, sum(status = 'COMPLETED') AS successful, sum(status = 'FAILED') AS failed,
    avg(julianday(finished_at) - julianday(claimed_at)) * 24 * 60 AS avg_processing_time_minutes
FROM task_runs WHERE worker_id IS NOT NULL AND queued_at IS NOT NULL AND active = 1 GROUP BY worker_id;

-- One row: what may need somebody's eye.
CREATE VIEW system_health AS
SELECT
    (SELECT count(*) FROM tasks) AS tasks,
    (SELECT count(*) FROM task_runs WHERE finished_at IS NULL AND active = 1 AND status = 'RUNNING') AS running,
    (SELECT count(*) FROM task_runs WHERE status = 'PENDING' AND queued_at IS NOT NULL AND active = 1) AS pending,
    (SELECT count(*) FROM task_runs WHERE status = 'FAILED' AND queued_at IS NOT NULL AND active = 1) AS failed,
    (SELECT min(queued_at) FROM task_runs WHERE status = 'PENDING' AND queued_at IS NOT NULL AND active = 1) AS oldest_pending,
    (SELECT count(*) FROM workers WHERE status IN ('ACTIVE', 'DRAINING')) AS workers,
    (SELECT count(*) FROM task_locks WHERE expires_at < strftime('%Y-%m-%dT%H:%M:%f', 'now')) AS expired_locks,
    (SELECT count(*) FROM task_events) AS events,
    (SELECT count(*) FROM task_runs) AS runs;
