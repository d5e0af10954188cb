SELECT s.span_id, b.input, b.output, s.attributes, s.metadata
FROM (
  SELECT seq, span_id, attributes, metadata FROM span_live
  WHERE seq BETWEEN $first_seq AND $last_seq AND trace_id = $trace_id
) AS s LEFT JOIN (FROM body_live WHERE seq BETWEEN $first_seq AND $last_seq) AS b ON b.seq = s.seq
