-- Where the spans of some traces stand that overlap a window of time of each.
SELECT s.seq, s.trace_id, s.span_id, s.parent_id, s.kind, s.start_ns, s.end_ns, w.first_seq
FROM store.span_row AS s
JOIN (SELECT unnest($trace_ids) AS trace_id, unnest($first_seqs) AS first_seq, unnest($lows) AS low, unnest($highs) AS high) AS w
  ON w.trace_id = s.trace_id
WHERE s.seq BETWEEN $first_seq AND $last_seq
  AND s.start_ns <= w.high AND coalesce(s.end_ns, 9223372036854775807) >= w.low
LIMIT $most
