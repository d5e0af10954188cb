SELECT s.seq, s.trace_id, s.span_id, s.name, s.kind, s.start_ns, b.input, b.output
FROM span_live AS s JOIN body_live AS b ON b.seq = s.seq
WHERE s.seq IN (SELECT unnest($seqs)) AND b.seq IN (SELECT unnest($seqs))
  AND s.seq BETWEEN $low AND $high AND b.seq BETWEEN $low AND $high
ORDER BY s.seq DESC
