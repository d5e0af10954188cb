-- The calls that a bill is about, one row each, for the questions after it: what was billed, and what was sent and failed.
-- A span that only repeats a call below it, or wraps one, is none; a failed attempt that was sent again is one.
-- The eleven buckets are those of usage_buckets.py; cost is exact, so that parts add up to the whole.
CREATE OR REPLACE TEMP TABLE bill AS
WITH again AS (SELECT trace_id, span_id FROM span_live WHERE retry_wait_ms IS NOT NULL),
calls AS (
  SELECT s.*, (s.trace_id, s.duplicate_of) IN (SELECT (trace_id, span_id) FROM again) AS retried, t.name AS root, t.start_ns AS trace_start_ns,
    coalesce(s.session_id, t.session_id) AS session, coalesce(s.user_id, t.user_id) AS person,
    coalesce(s.tags, t.tags) AS labels, coalesce(s.response_model, s.request_model) AS model,
    coalesce(s.input_tokens, 0)::BIGINT AS given, coalesce(s.output_tokens, 0)::BIGINT AS made
  FROM span_live AS s LEFT JOIN trace_live AS t ON t.trace_id = s.trace_id
  WHERE s.state != 'running'
    AND (s.cost_source IS NOT NULL OR s.input_tokens IS NOT NULL OR s.output_tokens IS NOT NULL
         OR (s.kind IN ('llm', 'embedding', 'rerank') AND coalesce(s.response_model, s.request_model) IS NOT NULL
             AND (s.status = 'error' OR s.state != 'ended')))
    AND ($since_ns IS NULL OR s.start_ns >= $since_ns)
    AND ($until_ns IS NULL OR s.start_ns < $until_ns)
    AND ($name IS NULL OR t.name = $name)
    AND ($service IS NULL OR s.service = $service)
    AND ($environment IS NULL OR s.environment = $environment)
    AND ($provider IS NULL OR s.provider = $provider)
),
picked AS (
  SELECT * FROM calls
  WHERE (retried OR duplicate_of IS NULL OR cost_usd IS NOT NULL)
    AND ($model IS NULL OR response_model = $model OR request_model = $model)
    AND ($session IS NULL OR session = $session)
    AND ($user IS NULL OR person = $user)
    AND ($tag IS NULL OR list_contains(labels, $tag))
),
cached AS (
  SELECT *, least(coalesce(cache_read_tokens, 0), given) AS read,
    least(coalesce(audio_input_tokens, 0), given) AS audio
  FROM picked
),
written AS (
  SELECT *, least(coalesce(cache_write_tokens, 0), given - read) AS wrote,
    least(coalesce(image_input_tokens, 0), given - audio) AS image,
    least(coalesce(reasoning_tokens, 0), made) AS thought
  FROM cached
),
spoken AS (
  SELECT *,
    least(coalesce(audio_cache_read_tokens, greatest(read + wrote - (given - audio - image) - image, 0)), audio, read)
      AS audio_read,
    least(coalesce(audio_output_tokens, 0), made - thought) AS audio_made
  FROM written
),
drawn AS (
  SELECT *, greatest(least(image, given - read - wrote - (audio - audio_read)), 0) AS image_fresh,
    least(coalesce(image_output_tokens, 0), made - thought - audio_made) AS image_made
  FROM spoken
),
heard AS (SELECT *, least(audio - audio_read, given - read - wrote - image_fresh) AS audio_fresh FROM drawn)
SELECT
  seq, trace_id, span_id, parent_id, kind, name, status, state, duplicate_of, coalesce(retried, false) AS retried, start_ns, end_ns,
  strftime(make_timestamp(start_ns // 1000), '%Y-%m-%d') AS day,
  root, session, person, labels, model, request_model, response_model, provider, service, environment, release,
  prompt_name, prompt_version, tool_name, service_tier, usage_mark, error_type,
  attributes->>'$."server.address"' AS host,
  NULL::VARCHAR AS tool, NULL::VARCHAR AS prompt, NULL::VARCHAR AS step,
  input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,
  audio_input_tokens, audio_output_tokens, audio_cache_read_tokens, image_input_tokens, image_output_tokens,
  search_units, web_searches,
  given - read - wrote - audio_fresh - image_fresh AS fresh, read - audio_read AS cache_read,
  wrote - least(coalesce(cache_write_1h_tokens, 0), wrote) AS cache_write,
  least(coalesce(cache_write_1h_tokens, 0), wrote) AS cache_write_1h,
  audio_fresh, audio_read, image_fresh, made - thought - audio_made - image_made AS shown, thought, audio_made, image_made,
  cost_usd::DECIMAL(38, 12) AS cost, cost_source,
  ttft_ms, first_visible_ms, inter_token_p95_ms, output_tokens_per_s, retry_wait_ms, attempts
FROM heard;
