INSERT INTO memory.main.doomed SELECT DISTINCT trace_id FROM store.span_row WHERE user_id = $value
