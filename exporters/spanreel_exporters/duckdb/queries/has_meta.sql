SELECT count(*) FROM duckdb_tables() WHERE database_name = 'store' AND table_name = 'meta'
