SELECT * FROM score_live WHERE trace_id = $trace_id ORDER BY created_ns, score_id
