-- Table and tail as one: rows that the tail replaces are left out of the table's side.
CREATE OR REPLACE VIEW span_live AS
  SELECT s.*, CASE
    WHEN s.output_tokens > 0 AND s.end_ns - s.start_ns > coalesce(s.ttft_ms, 0) * 1e6
    THEN (s.output_tokens - (s.ttft_ms IS NOT NULL AND s.output_tokens > 1)::INTEGER) * 1e9
      / (s.end_ns - s.start_ns - coalesce(s.ttft_ms, 0) * 1e6)
  END AS output_tokens_per_s
  FROM (
    FROM store.span_row AS r WHERE NOT EXISTS (FROM tail_gone AS g WHERE g.seq = r.seq)
    UNION ALL FROM tail_span
  ) AS s;
CREATE OR REPLACE VIEW preview_live AS
  FROM store.preview AS s WHERE NOT EXISTS (FROM tail_gone AS g WHERE g.seq = s.seq)
  UNION ALL FROM tail_preview;
CREATE OR REPLACE VIEW body_live AS
  FROM store.span_body AS s WHERE NOT EXISTS (FROM tail_gone AS g WHERE g.seq = s.seq)
  UNION ALL FROM tail_body;
CREATE OR REPLACE VIEW text_live AS
  FROM store.body_text AS s WHERE NOT EXISTS (FROM tail_gone AS g WHERE g.seq = s.seq)
  UNION ALL SELECT seq, length(input)::INTEGER, length(output)::INTEGER, concat(input, output) FROM tail_body;
CREATE OR REPLACE VIEW wire_live AS
  FROM store.span_wire AS s WHERE NOT EXISTS (FROM tail_gone AS g WHERE g.seq = s.seq)
  UNION ALL FROM tail_wire;
CREATE OR REPLACE VIEW document_live AS
  FROM store.document AS s WHERE NOT EXISTS (FROM tail_gone AS g WHERE g.seq = s.seq)
  UNION ALL FROM tail_document;
CREATE OR REPLACE VIEW trace_live AS
  FROM store.trace_row AS t WHERE NOT EXISTS (FROM tail_trace AS n WHERE n.trace_id = t.trace_id)
  UNION ALL FROM tail_trace;
CREATE OR REPLACE VIEW score_live AS
  FROM store.score_row AS s WHERE NOT EXISTS (FROM tail_score AS n WHERE n.score_id = s.score_id)
  UNION ALL FROM tail_score;
CREATE OR REPLACE VIEW flag_live AS FROM store.flag_row;
CREATE OR REPLACE VIEW loss_live AS
  SELECT reason, pid, service, sum(count)::BIGINT AS count, min(first_ns) AS first_ns, max(last_ns) AS last_ns
  FROM (FROM store.loss_row UNION ALL FROM tail_loss) GROUP BY reason, pid, service;
