SELECT status, count(*) FROM trace_live GROUP BY status ORDER BY 2 DESC, 1 LIMIT 50
