-- What the public views read, in the file itself: the base tables.
CREATE OR REPLACE VIEW span_live AS
  SELECT s.*, CASE
    WHEN s.output_tokens > 0 AND s.end_ns - s.start_ns > coalesce(s.ttft_ms, 0) * 1e6
    THEN (s.output_tokens - (s.ttft_ms IS NOT NULL AND s.output_tokens > 1)::INTEGER) * 1e9
      / (s.end_ns - s.start_ns - coalesce(s.ttft_ms, 0) * 1e6)
  END AS output_tokens_per_s
  FROM span_row AS s;
CREATE OR REPLACE VIEW preview_live AS FROM preview;
CREATE OR REPLACE VIEW body_live AS FROM span_body;
CREATE OR REPLACE VIEW text_live AS FROM body_text;
CREATE OR REPLACE VIEW wire_live AS FROM span_wire;
CREATE OR REPLACE VIEW document_live AS FROM document;
CREATE OR REPLACE VIEW trace_live AS FROM trace_row;
CREATE OR REPLACE VIEW score_live AS FROM score_row;
CREATE OR REPLACE VIEW flag_live AS FROM flag_row;
CREATE OR REPLACE VIEW loss_live AS FROM loss_row;
