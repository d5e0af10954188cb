SELECT * EXCLUDE (procid)
FROM span_live WHERE seq BETWEEN $first_seq AND $last_seq AND trace_id = $trace_id AND span_id = $span_id
