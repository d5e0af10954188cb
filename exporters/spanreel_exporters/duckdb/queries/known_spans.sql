SELECT s.trace_id, s.span_id, s.seq, s.state
FROM store.span_row AS s
WHERE s.seq BETWEEN $first_seq AND $last_seq AND s.trace_id IN (SELECT unnest($trace_ids))
  AND EXISTS (SELECT 1 FROM (SELECT unnest($asked) AS trace_id, unnest($span_ids) AS span_id) AS k
              WHERE k.trace_id = s.trace_id AND k.span_id = s.span_id)
