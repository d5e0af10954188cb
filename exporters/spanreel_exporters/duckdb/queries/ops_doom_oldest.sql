-- The oldest traces that together hold more than a share of all spans.
INSERT INTO memory.main.doomed
SELECT trace_id FROM (
  SELECT trace_id, state, sum(span_count) OVER (ORDER BY end_ns DESC, trace_id) AS kept, sum(span_count) OVER () AS whole
  FROM store.trace_row
) WHERE kept > whole * $keep_share AND state <> 'running'
