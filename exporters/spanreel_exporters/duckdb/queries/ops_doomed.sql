-- Per connection: traces and rows that are about to be deleted.
CREATE OR REPLACE TABLE memory.main.doomed (trace_id VARCHAR);
CREATE OR REPLACE TABLE memory.main.doomed_seq (seq BIGINT);
