SELECT model, count(*) FROM (SELECT unnest(models) AS model FROM trace_live) GROUP BY model ORDER BY 2 DESC, 1 LIMIT 50
