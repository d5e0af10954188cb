-- Sums by the dimensions of $by; of none: the whole. A call with several tags stands under each of them.
WITH tagged AS (
  SELECT *, unnest(CASE WHEN list_contains($by, 'tag') AND len(labels) > 0 THEN labels ELSE [NULL] END) AS label FROM bill
),
keyed AS (
  SELECT *, list_transform($by, lambda d: CASE d
    WHEN 'model' THEN model WHEN 'provider' THEN provider WHEN 'session' THEN session WHEN 'user' THEN person
    WHEN 'tag' THEN label WHEN 'name' THEN root WHEN 'tool' THEN tool WHEN 'prompt' THEN prompt WHEN 'step' THEN step
    WHEN 'environment' THEN environment WHEN 'service' THEN service WHEN 'release' THEN release WHEN 'day' THEN day
    WHEN 'kind' THEN kind WHEN 'tier' THEN service_tier WHEN 'trace' THEN trace_id WHEN 'source' THEN cost_source
  END) AS key
  FROM tagged
)
SELECT
  key, count(*), count(DISTINCT trace_id), count(*) FILTER (cost_source = 'unpriced'),
  coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) FILTER (cost_source = 'unpriced'), 0)::BIGINT,
  count(*) FILTER (status = 'error' AND NOT retried), count(*) FILTER (usage_mark IS NOT NULL),
  coalesce(sum(input_tokens), 0)::BIGINT, coalesce(sum(output_tokens), 0)::BIGINT,
  [sum(fresh)::BIGINT, sum(cache_read)::BIGINT, sum(cache_write)::BIGINT, sum(cache_write_1h)::BIGINT, sum(audio_fresh)::BIGINT,
   sum(audio_read)::BIGINT, sum(image_fresh)::BIGINT, sum(shown)::BIGINT, sum(thought)::BIGINT, sum(audio_made)::BIGINT,
   sum(image_made)::BIGINT],
  coalesce(sum(web_searches), 0)::BIGINT, sum(cost)
FROM keyed GROUP BY key ORDER BY sum(cost) DESC NULLS LAST, count(*) DESC, key
