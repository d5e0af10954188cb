INSERT INTO memory.main.doomed SELECT DISTINCT trace_id FROM store.span_row WHERE session_id = $value
