-- Rows of the oldest bodies beyond a share of all body bytes that are still there.
INSERT INTO memory.main.doomed_seq
SELECT seq FROM (
  SELECT seq, sum(chars) OVER (ORDER BY seq DESC) AS kept, sum(chars) OVER () AS whole
  FROM (
    SELECT seq, 64 + coalesce(sum(input_chars), 0) + coalesce(sum(output_chars), 0) AS chars
    FROM (
      SELECT seq, input_chars, output_chars FROM store.body_text
      UNION ALL SELECT seq, NULL, NULL FROM store.span_wire
    ) GROUP BY seq
  )
) WHERE kept > whole * $keep_share
