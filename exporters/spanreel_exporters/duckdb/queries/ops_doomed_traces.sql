SELECT DISTINCT trace_id FROM memory.main.doomed ORDER BY trace_id
