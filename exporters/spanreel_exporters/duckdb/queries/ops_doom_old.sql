INSERT INTO memory.main.doomed SELECT trace_id FROM store.trace_row WHERE end_ns < $before_ns AND state <> 'running'
