INSERT INTO memory.main.doomed_seq SELECT seq FROM store.span_row WHERE trace_id IN (FROM memory.main.doomed)
