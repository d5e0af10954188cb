-- Ended spans among those asked for.
SELECT s.trace_id, s.span_id
FROM span_live AS s
WHERE s.trace_id IN (SELECT unnest($trace_ids)) AND s.state NOT IN ('interrupted', 'running')
  AND EXISTS (SELECT 1 FROM (SELECT unnest($trace_ids) AS trace_id, unnest($span_ids) AS span_id) AS k
              WHERE k.trace_id = s.trace_id AND k.span_id = s.span_id)
