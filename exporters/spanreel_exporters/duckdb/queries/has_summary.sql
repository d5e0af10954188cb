-- Told by the table that is made with it: duckdb_functions() takes 11 ms to list.
SELECT count(*) FROM duckdb_tables() WHERE table_name = 'touched' AND temporary
