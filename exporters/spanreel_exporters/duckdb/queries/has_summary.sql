SELECT count(*) FROM duckdb_functions() WHERE function_name = 'trace_summary'
