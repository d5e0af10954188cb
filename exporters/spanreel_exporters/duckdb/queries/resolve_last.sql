SELECT trace_id FROM trace_live WHERE $name IS NULL OR name = $name
ORDER BY start_ns DESC, first_seq DESC LIMIT 1 OFFSET $back
