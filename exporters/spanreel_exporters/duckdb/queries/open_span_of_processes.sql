SELECT procid, line FROM store.open_span AS o
WHERE (o.trace_id, o.span_id) IN (
  SELECT (trace_id, span_id) FROM store.open_span WHERE procid IN (SELECT unnest($procids)))
ORDER BY ordinal
