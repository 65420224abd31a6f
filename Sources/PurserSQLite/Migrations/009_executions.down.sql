DROP TABLE execution_state;
DROP TABLE snapshots;
DROP TABLE execution_trees;
DROP TABLE artifacts;
