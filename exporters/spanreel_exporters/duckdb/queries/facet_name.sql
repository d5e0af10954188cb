SELECT name, count(*) FROM trace_live GROUP BY name ORDER BY 2 DESC, 1 LIMIT 50
