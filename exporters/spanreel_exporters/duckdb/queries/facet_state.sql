SELECT state, count(*) FROM trace_live GROUP BY state ORDER BY 2 DESC, 1 LIMIT 50
