DELETE FROM store.trace_row WHERE trace_id IN (SELECT trace_id FROM temp.main.touched)
