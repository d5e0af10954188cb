-- What a price depends on, of every call that told usage.
SELECT
  seq, kind, provider, request_model, response_model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
  cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, audio_cache_read_tokens,
  image_input_tokens, image_output_tokens, search_units, web_searches, service_tier, usage_mark, host, start_ns,
  cost_source
FROM bill
WHERE cost_source IS NOT NULL AND (input_tokens > 0 OR output_tokens > 0 OR search_units > 0)
