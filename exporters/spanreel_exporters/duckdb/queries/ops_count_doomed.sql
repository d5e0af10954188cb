SELECT (SELECT count(*) FROM memory.main.doomed), (SELECT count(*) FROM memory.main.doomed_seq)
