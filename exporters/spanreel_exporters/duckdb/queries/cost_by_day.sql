-- What was recorded by day and model, for an export of the provider's to be held against.
SELECT day, provider, model, count(*) FILTER (status != 'error' OR billed), sum(fresh)::BIGINT,
  sum(cache_read + audio_read)::BIGINT, sum(cache_write)::BIGINT, sum(cache_write_1h)::BIGINT,
  sum(audio_fresh + audio_read)::BIGINT, sum(image_fresh)::BIGINT, sum(shown + thought + image_made)::BIGINT,
  sum(audio_made)::BIGINT, coalesce(sum(web_searches), 0)::BIGINT, sum(cost),
  count(*) FILTER (cost_source = 'unpriced')
FROM (SELECT *, input_tokens IS NOT NULL OR output_tokens IS NOT NULL AS billed FROM bill)
GROUP BY day, provider, model ORDER BY day, model, provider
