DROP INDEX idx_action_results_declared;
ALTER TABLE action_results DROP COLUMN declared_key;
