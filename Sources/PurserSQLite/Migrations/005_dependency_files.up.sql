-- 005: dep files. A result of a task that writes one is known by its whole key, as any, which what the dep file named
-- is part of; and by the key of what is declared alone, so that a task that does not know yet what it will use finds
-- the results of those that found out. The names themselves are components of the result's key.

ALTER TABLE action_results ADD COLUMN declared_key BLOB;

-- Few tasks have dep files: the index holds only theirs.
CREATE INDEX idx_action_results_declared ON action_results(declared_key, id) WHERE declared_key IS NOT NULL;
