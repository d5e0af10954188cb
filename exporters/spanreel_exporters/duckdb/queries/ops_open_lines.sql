SELECT trace_id, line FROM store.open_span
