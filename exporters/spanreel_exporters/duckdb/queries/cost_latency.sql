-- Latency of the calls that ended well, by the dimensions of $by; shares are nearest ranks.
WITH keyed AS (
  SELECT *, (end_ns - start_ns) / 1e6 AS duration_ms, list_transform($by, lambda d: CASE d
    WHEN 'model' THEN model WHEN 'provider' THEN provider WHEN 'session' THEN session WHEN 'user' THEN person
    WHEN 'name' THEN root WHEN 'tool' THEN tool WHEN 'prompt' THEN prompt WHEN 'step' THEN step
    WHEN 'environment' THEN environment WHEN 'service' THEN service WHEN 'release' THEN release WHEN 'day' THEN day
    WHEN 'kind' THEN kind WHEN 'tier' THEN service_tier WHEN 'trace' THEN trace_id
  END) AS key
  FROM bill WHERE NOT retried AND state = 'ended' AND status != 'error'
)
SELECT key, count(*), count(ttft_ms), count(first_visible_ms),
  quantile_disc(duration_ms, [0.5, 0.95, 0.99]), max(duration_ms),
  quantile_disc(ttft_ms, [0.5, 0.95, 0.99]), max(ttft_ms),
  quantile_disc(first_visible_ms, [0.5, 0.95, 0.99]), max(first_visible_ms),
  quantile_disc(output_tokens_per_s, [0.5, 0.05]),
  quantile_disc(inter_token_p95_ms, [0.5, 0.95]),
  count(retry_wait_ms), quantile_disc(retry_wait_ms, [0.5, 0.95, 0.99]), max(retry_wait_ms)
FROM keyed GROUP BY key ORDER BY count(*) DESC, key
