-- 010: what commands did with files, as their system calls told.

-- What a traced run read without declaring it, and what each file was then (see Purser's Tracing): a result is none for
-- a hit where one of them is another now. NULL for a result that nobody traced.
ALTER TABLE action_results ADD COLUMN undeclared BLOB;

-- All that a run did, to be shown; of runs that were stored as a result and of those that were not.
CREATE TABLE run_traces (
    run_id INTEGER PRIMARY KEY REFERENCES task_runs(id) ON DELETE CASCADE,
    trace BLOB NOT NULL
);
