-- Rows of the oldest bodies beyond a share of all body bytes that are still there.
INSERT INTO memory.main.doomed_seq
SELECT seq FROM (
  SELECT seq, sum(bytes) OVER (ORDER BY seq DESC) AS kept, sum(bytes) OVER () AS whole
  FROM (
    SELECT s.seq, 64 + coalesce(s.input_bytes, 0) + coalesce(s.output_bytes, 0) AS bytes
    FROM store.span_row AS s
    WHERE s.seq IN (SELECT seq FROM store.span_body UNION SELECT seq FROM store.span_wire UNION SELECT seq FROM store.document)
  )
) WHERE kept > whole * $keep_share
