-- What the public views read, through a reader without a tail: the attached file.
CREATE OR REPLACE VIEW span_live AS
  SELECT s.*, CASE
    WHEN s.output_tokens > 0 AND s.end_ns - s.start_ns > coalesce(s.ttft_ms, 0) * 1e6
    THEN (s.output_tokens - (s.ttft_ms IS NOT NULL AND s.output_tokens > 1)::INTEGER) * 1e9
      / (s.end_ns - s.start_ns - coalesce(s.ttft_ms, 0) * 1e6)
  END AS output_tokens_per_s
  FROM store.span_row AS s;
CREATE OR REPLACE VIEW preview_live AS FROM store.preview;
CREATE OR REPLACE VIEW body_live AS FROM store.span_body;
CREATE OR REPLACE VIEW text_live AS FROM store.body_text;
CREATE OR REPLACE VIEW wire_live AS FROM store.span_wire;
CREATE OR REPLACE VIEW document_live AS FROM store.document;
CREATE OR REPLACE VIEW trace_live AS FROM store.trace_row;
CREATE OR REPLACE VIEW score_live AS FROM store.score_row;
CREATE OR REPLACE VIEW flag_live AS FROM store.flag_row;
CREATE OR REPLACE VIEW loss_live AS FROM store.loss_row;
