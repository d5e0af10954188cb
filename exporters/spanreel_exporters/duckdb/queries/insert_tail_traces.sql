INSERT INTO memory.main.tail_trace SELECT * FROM memory.main.trace_summary($from_seq)
