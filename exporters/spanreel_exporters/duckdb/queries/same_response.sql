-- Calls in other traces at the same time, of other instrumentations, that have a response id in their attributes,
-- or may have been answered the same where one of the two has no id; one of the two is a root.
SELECT DISTINCT s.seq, s.trace_id, s.span_id, s.parent_id, s.kind, s.start_ns, s.end_ns, t.first_seq
FROM store.span_row AS s
JOIN (
  SELECT unnest($trace_ids) AS trace_id, unnest($responses) AS response, unnest($requested) AS requested,
         unnest($answering) AS answering, unnest($lows) AS low, unnest($highs) AS high, unnest($roots) AS is_root,
         unnest($scopes) AS scope
) AS a ON s.start_ns <= a.high + $late AND s.end_ns >= a.low
JOIN store.trace_row AS t ON t.trace_id = s.trace_id
WHERE s.start_ns <= $high + $late AND s.end_ns >= $low AND s.kind IN ('llm', 'embedding', 'rerank')
  AND s.trace_id <> a.trace_id AND (a.scope = '' OR NOT contains(s.attributes, a.scope)) AND (a.is_root OR s.parent_id IS NULL)
  AND (
    (a.response <> '' AND contains(s.attributes, a.response))
    OR (
      s.start_ns <= a.high AND (s.request_model = a.requested OR s.response_model = a.answering)
      AND (a.response = '' OR contains(s.attributes, 'run-') OR NOT contains(s.attributes, '"gen_ai.response.id"'))
    )
  )
