DELETE FROM store.span_body WHERE seq IN (FROM memory.main.doomed_seq);
DELETE FROM store.span_wire WHERE seq IN (FROM memory.main.doomed_seq);
DELETE FROM store.document WHERE seq IN (FROM memory.main.doomed_seq);
