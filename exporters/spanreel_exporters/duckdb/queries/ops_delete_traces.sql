DELETE FROM store.span_row WHERE trace_id IN (FROM memory.main.doomed);
DELETE FROM store.preview WHERE seq IN (FROM memory.main.doomed_seq);
DELETE FROM store.trace_row WHERE trace_id IN (FROM memory.main.doomed);
DELETE FROM store.score_row WHERE trace_id IN (FROM memory.main.doomed);
DELETE FROM store.flag_row WHERE trace_id IN (FROM memory.main.doomed);
DELETE FROM store.open_span WHERE trace_id IN (FROM memory.main.doomed);
