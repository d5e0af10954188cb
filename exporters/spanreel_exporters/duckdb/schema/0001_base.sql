-- Base tables. Named so that nothing called `spans` silently lacks the tails; the public views are in views.sql.
CREATE TABLE meta (schema_version INTEGER, next_seq BIGINT, created_ns BIGINT, views VARCHAR);

-- How far each journal segment has been taken in; written in the transaction of the rows themselves.
CREATE TABLE segment_offset (procid VARCHAR, segment INTEGER, position BIGINT);

CREATE TABLE process (
  procid VARCHAR, pid BIGINT, host VARCHAR, boot_id VARCHAR, start_ns BIGINT, service VARCHAR,
  environment VARCHAR, release VARCHAR, python VARCHAR, spanreel VARCHAR, info VARCHAR
);

-- Records of spans that have not ended: the raw journal lines, so that they outlive their segment.
CREATE TABLE open_span (
  trace_id VARCHAR, span_id VARCHAR, procid VARCHAR, ordinal BIGINT, line VARCHAR USING COMPRESSION ZSTD
);

CREATE TABLE span_row (
  seq BIGINT, trace_id VARCHAR, span_id VARCHAR, parent_id VARCHAR, foreign_parent BOOLEAN,
  name VARCHAR, kind VARCHAR, state VARCHAR, status VARCHAR, start_ns BIGINT, end_ns BIGINT,
  service VARCHAR, environment VARCHAR, release VARCHAR, session_id VARCHAR, user_id VARCHAR,
  provider VARCHAR, request_model VARCHAR, response_model VARCHAR, finish_reason VARCHAR,
  input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER, cache_write_tokens INTEGER,
  reasoning_tokens INTEGER, cost_usd DOUBLE, cost_source VARCHAR, ttft_ms DOUBLE, output_tokens_per_s DOUBLE,
  attempts INTEGER, tool_name VARCHAR, prompt_name VARCHAR, prompt_version VARCHAR,
  error_type VARCHAR, error_message VARCHAR,
  attributes VARCHAR USING COMPRESSION ZSTD, metadata VARCHAR, tags VARCHAR[], dialect VARCHAR,
  duplicate_of VARCHAR, input_preview VARCHAR USING COMPRESSION ZSTD, output_preview VARCHAR USING COMPRESSION ZSTD,
  input_bytes INTEGER, output_bytes INTEGER, document_count INTEGER, procid VARCHAR
);

CREATE TABLE span_body (
  seq BIGINT, input VARCHAR USING COMPRESSION ZSTD, output VARCHAR USING COMPRESSION ZSTD
);

-- Provider bytes of each HTTP exchange. `encoding` is utf-8 or base64; `meta` holds the chunk offsets;
-- `request_bytes` and `response_bytes` count what went over the wire, the texts refer to the body (wire_text.py).
CREATE TABLE span_wire (
  seq BIGINT, attempt INTEGER, encoding VARCHAR, request_bytes INTEGER, response_bytes INTEGER, meta VARCHAR USING COMPRESSION ZSTD,
  request VARCHAR USING COMPRESSION ZSTD, response VARCHAR USING COMPRESSION ZSTD
);

CREATE TABLE document (
  seq BIGINT, trace_id VARCHAR, span_id VARCHAR, rank INTEGER, id VARCHAR, score DOUBLE,
  content VARCHAR USING COMPRESSION ZSTD, metadata VARCHAR
);

-- One row per trace, rebuilt from span_row for every trace that an ingest touches.
CREATE TABLE trace_row (
  trace_id VARCHAR, first_seq BIGINT, last_seq BIGINT, root_seq BIGINT, root_span_id VARCHAR,
  name VARCHAR, kind VARCHAR, state VARCHAR, status VARCHAR, start_ns BIGINT, end_ns BIGINT, duration_ns BIGINT,
  span_count INTEGER, error_count INTEGER, llm_calls INTEGER, input_tokens BIGINT, output_tokens BIGINT,
  cost_usd DOUBLE, unpriced_calls INTEGER, session_id VARCHAR, user_id VARCHAR,
  service VARCHAR, environment VARCHAR, release VARCHAR, models VARCHAR[], kinds VARCHAR[], tags VARCHAR[],
  error_span_id VARCHAR, error_type VARCHAR, error_message VARCHAR
);

CREATE TABLE score_row (
  score_id VARCHAR, trace_id VARCHAR, span_id VARCHAR, name VARCHAR, value DOUBLE, label VARCHAR,
  comment VARCHAR, source VARCHAR, author VARCHAR, created_ns BIGINT
);

CREATE TABLE flag_row (
  flag_id VARCHAR, trace_id VARCHAR, span_id VARCHAR, detector VARCHAR, detector_version VARCHAR,
  verdict VARCHAR, severity VARCHAR, score DOUBLE, char_start INTEGER, char_end INTEGER, text VARCHAR,
  reason VARCHAR, evidence_span_id VARCHAR, evidence_start INTEGER, evidence_end INTEGER, human_verdict VARCHAR,
  created_ns BIGINT
);

CREATE TABLE loss_row (
  reason VARCHAR, pid BIGINT, service VARCHAR, count BIGINT, first_ns BIGINT, last_ns BIGINT
);

-- What was erased and must not come back from a late tail or a re-import: kind is trace, value a salted hash.
CREATE TABLE tombstone (kind VARCHAR, value VARCHAR, created_ns BIGINT);

INSERT INTO meta VALUES (1, 1, 0, '');
