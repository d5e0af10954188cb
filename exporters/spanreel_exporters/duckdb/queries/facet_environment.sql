SELECT environment, count(*) FROM trace_live WHERE environment IS NOT NULL
GROUP BY environment ORDER BY 2 DESC, 1 LIMIT 50
