DROP TABLE task_locks;
DROP TABLE task_dependencies;
DROP TABLE task_events;
DROP TABLE task_runs;
