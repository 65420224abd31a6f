DROP TABLE subtask_bins;
DROP TABLE taskdata_bins;
DROP TABLE tasks;
