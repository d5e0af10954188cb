SELECT * EXCLUDE (attributes, metadata, dialect, procid)
FROM span_live WHERE seq BETWEEN $first_seq AND $last_seq AND trace_id = $trace_id
ORDER BY start_ns, seq
