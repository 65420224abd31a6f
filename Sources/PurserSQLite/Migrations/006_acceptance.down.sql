-- Nobody vouches any more: a record that rests on it is one of what its result was really made from.
UPDATE task_details SET action_key = (SELECT r.action_key FROM action_results r WHERE r.id = task_details.result_id)
WHERE EXISTS (
    SELECT 1 FROM action_results r WHERE r.id = task_details.result_id AND r.action_key <> task_details.action_key);
DROP TABLE void_item_results;
DROP TABLE void_results;
DROP TABLE all_keys_marks;
DROP TABLE earlier_invalidations;
ALTER TABLE invalidations DROP COLUMN on_all_keys;
ALTER TABLE invalidations DROP COLUMN run_horizon;
ALTER TABLE item_results DROP COLUMN begun;
ALTER TABLE action_results DROP COLUMN begun;
DROP TABLE acceptances;
