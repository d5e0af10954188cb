INSERT INTO store.trace_row SELECT * FROM memory.main.trace_summary($from_seq)
