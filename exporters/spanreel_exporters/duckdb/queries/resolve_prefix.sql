SELECT trace_id FROM trace_live WHERE starts_with(trace_id, $prefix) ORDER BY start_ns DESC LIMIT 3
