-- Attributes of the spans asked for, and what waits for those that have not come.
SELECT s.trace_id, s.span_id, s.attributes AS told
FROM span_live AS s
WHERE s.trace_id IN (SELECT unnest($trace_ids))
  AND EXISTS (SELECT 1 FROM (SELECT unnest($trace_ids) AS trace_id, unnest($span_ids) AS span_id) AS k
              WHERE k.trace_id = s.trace_id AND k.span_id = s.span_id)
UNION ALL
SELECT o.trace_id, o.span_id, o.line AS told
FROM store.open_span AS o
WHERE o.trace_id IN (SELECT unnest($trace_ids))
  AND EXISTS (SELECT 1 FROM (SELECT unnest($trace_ids) AS trace_id, unnest($span_ids) AS span_id) AS k
              WHERE k.trace_id = o.trace_id AND k.span_id = o.span_id)
