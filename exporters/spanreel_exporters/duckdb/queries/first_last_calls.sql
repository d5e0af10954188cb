-- The model calls that tell a trace whose root tells nothing: the first that began and the last that ended.
SELECT trace_id, arg_min(seq, start_ns) AS first_seq, arg_max(seq, end_ns) FILTER (end_ns IS NOT NULL) AS last_seq
FROM span_live
WHERE trace_id IN (SELECT unnest($trace_ids)) AND seq BETWEEN $low AND $high AND kind = 'llm'
GROUP BY trace_id
