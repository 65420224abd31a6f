ALTER TABLE invalidations DROP COLUMN item_horizon;
ALTER TABLE action_results DROP COLUMN data_count;
ALTER TABLE action_results DROP COLUMN data_digest;
DROP TABLE item_blobs;
DROP TABLE item_results;
DROP TABLE subtask_events;
