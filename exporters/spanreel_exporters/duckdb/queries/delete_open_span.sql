DELETE FROM store.open_span AS o
WHERE EXISTS (SELECT 1 FROM (SELECT unnest($trace_ids) AS trace_id, unnest($span_ids) AS span_id) AS k
              WHERE k.trace_id = o.trace_id AND k.span_id = o.span_id)
