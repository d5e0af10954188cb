-- What a bill and a latency report need beside the totals; NULL on nearly every span, which costs next to nothing.
ALTER TABLE span_row ADD COLUMN cache_write_1h_tokens INTEGER;
ALTER TABLE span_row ADD COLUMN audio_input_tokens INTEGER;
ALTER TABLE span_row ADD COLUMN audio_output_tokens INTEGER;
ALTER TABLE span_row ADD COLUMN audio_cache_read_tokens INTEGER;
ALTER TABLE span_row ADD COLUMN image_input_tokens INTEGER;
ALTER TABLE span_row ADD COLUMN image_output_tokens INTEGER;
ALTER TABLE span_row ADD COLUMN search_units INTEGER;
ALTER TABLE span_row ADD COLUMN web_searches INTEGER;
ALTER TABLE span_row ADD COLUMN service_tier VARCHAR;
ALTER TABLE span_row ADD COLUMN usage_mark VARCHAR;
ALTER TABLE span_row ADD COLUMN first_visible_ms DOUBLE;
ALTER TABLE span_row ADD COLUMN inter_token_p95_ms DOUBLE;
ALTER TABLE span_row ADD COLUMN retry_wait_ms DOUBLE;
