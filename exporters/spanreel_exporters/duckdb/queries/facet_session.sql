SELECT session_id, count(*) FROM trace_live WHERE session_id IS NOT NULL
GROUP BY session_id ORDER BY max(start_ns) DESC, 1 LIMIT 50
