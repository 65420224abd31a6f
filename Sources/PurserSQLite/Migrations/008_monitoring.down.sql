DROP VIEW system_health;
DROP VIEW worker_stats;
DROP VIEW task_stats;
DROP VIEW task_execution_stats;
DROP VIEW active_workers;
DROP VIEW pending_task_runs;
DROP VIEW active_tasks;
