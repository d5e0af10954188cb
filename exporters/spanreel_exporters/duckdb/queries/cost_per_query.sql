-- What one request (trace) cost: by the name of its root, and for $whole of all together. Shares are nearest ranks.
-- A request none of whose calls has a price costs NULL, not nothing.
WITH queries AS (
  SELECT trace_id, any_value(root) AS root, count(*) FILTER (cost_source = 'unpriced') AS unpriced,
    CASE WHEN count(*) FILTER (cost_source = 'unpriced') > 0 THEN sum(cost) ELSE coalesce(sum(cost), 0) END AS cost
  FROM bill GROUP BY trace_id
)
SELECT CASE WHEN $whole THEN NULL ELSE root END AS name, count(*), count(cost), sum(cost), sum(unpriced)::BIGINT,
  count(*) FILTER (unpriced > 0), quantile_disc(cost, [0.5, 0.95, 0.99]), max(cost),
  coalesce(arg_max(trace_id, cost), any_value(trace_id))
FROM queries GROUP BY ALL ORDER BY sum(cost) DESC NULLS LAST, 1
