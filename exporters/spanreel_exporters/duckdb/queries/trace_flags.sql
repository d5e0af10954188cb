SELECT * EXCLUDE (created_ns) FROM flag_live WHERE trace_id = $trace_id ORDER BY span_id, char_start, flag_id
