DROP TABLE run_traces;
ALTER TABLE action_results DROP COLUMN undeclared;
