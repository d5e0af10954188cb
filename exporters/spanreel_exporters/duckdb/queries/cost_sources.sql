SELECT cost_source, count(*), sum(cost) FROM bill WHERE cost_source IS NOT NULL GROUP BY cost_source ORDER BY 2 DESC, 1
