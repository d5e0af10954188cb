-- The public contract, over the *_live relations: the same text serves the file and every reader.
CREATE OR REPLACE VIEW spans AS
SELECT
  s.trace_id, s.span_id, s.parent_id, s.name, s.kind, s.state, s.status,
  make_timestamp(s.start_ns // 1000) AT TIME ZONE 'UTC' AS started_at,
  make_timestamp(s.end_ns // 1000) AT TIME ZONE 'UTC' AS ended_at,
  s.start_ns, (s.end_ns - s.start_ns) / 1e6 AS duration_ms,
  s.service, s.environment, s.release, s.session_id, s.user_id,
  s.provider, s.request_model, s.response_model, s.finish_reason,
  s.input_tokens::BIGINT AS input_tokens, s.output_tokens::BIGINT AS output_tokens,
  s.cache_read_tokens::BIGINT AS cache_read_tokens, s.cache_write_tokens::BIGINT AS cache_write_tokens,
  s.reasoning_tokens::BIGINT AS reasoning_tokens,
  s.cost_usd, s.cost_source, s.ttft_ms, s.output_tokens_per_s, s.attempts,
  s.tool_name, s.prompt_name, s.prompt_version, b.input, b.output, s.error_type, s.error_message,
  s.attributes::JSON AS attributes, s.metadata::JSON AS metadata, s.dialect, s.duplicate_of, s.foreign_parent, s.tags,
  s.cache_write_1h_tokens::BIGINT AS cache_write_1h_tokens, s.audio_input_tokens::BIGINT AS audio_input_tokens,
  s.audio_output_tokens::BIGINT AS audio_output_tokens, s.audio_cache_read_tokens::BIGINT AS audio_cache_read_tokens,
  s.image_input_tokens::BIGINT AS image_input_tokens, s.image_output_tokens::BIGINT AS image_output_tokens,
  s.search_units, s.web_searches, s.service_tier, s.usage_mark, s.first_visible_ms, s.inter_token_p95_ms, s.retry_wait_ms
FROM span_live AS s LEFT JOIN body_live AS b ON b.seq = s.seq;

CREATE OR REPLACE VIEW traces AS
SELECT
  t.trace_id, t.name, make_timestamp(t.start_ns // 1000) AT TIME ZONE 'UTC' AS started_at,
  t.duration_ns / 1e6 AS duration_ms, t.span_count, t.error_count, t.state, t.status, t.llm_calls,
  t.input_tokens, t.output_tokens, t.cost_usd, t.unpriced_calls, coalesce(f.flag_count, 0) AS flag_count,
  t.session_id, t.user_id, t.service, t.environment, t.release, b.input, b.output
FROM trace_live AS t
LEFT JOIN body_live AS b ON b.seq = t.root_seq
LEFT JOIN (SELECT trace_id, count(*) AS flag_count FROM flag_live GROUP BY trace_id) AS f ON f.trace_id = t.trace_id;

CREATE OR REPLACE VIEW documents AS
SELECT trace_id, span_id, rank, id, score, content, metadata::JSON AS metadata FROM document_live;

CREATE OR REPLACE VIEW flags AS
SELECT
  flag_id, trace_id, span_id, detector, detector_version, verdict, severity, score, char_start, char_end, text,
  reason, evidence_span_id, evidence_start, evidence_end, human_verdict
FROM flag_live;

CREATE OR REPLACE VIEW scores AS
SELECT
  score_id, trace_id, span_id, name, value, label, comment, source, author,
  make_timestamp(created_ns // 1000) AT TIME ZONE 'UTC' AS created_at
FROM score_live;

CREATE OR REPLACE VIEW losses AS
SELECT
  reason, count, make_timestamp(first_ns // 1000) AT TIME ZONE 'UTC' AS first_at,
  make_timestamp(last_ns // 1000) AT TIME ZONE 'UTC' AS last_at, pid, service
FROM loss_live;
