SELECT service, count(*) FROM trace_live WHERE service IS NOT NULL GROUP BY service ORDER BY 2 DESC, 1 LIMIT 50
