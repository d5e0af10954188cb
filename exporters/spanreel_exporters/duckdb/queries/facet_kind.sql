SELECT kind, count(*) FROM (SELECT unnest(kinds) AS kind FROM trace_live) GROUP BY kind ORDER BY 2 DESC, 1 LIMIT 50
