DELETE FROM store.body_text WHERE seq IN (FROM memory.main.doomed_seq);
DELETE FROM store.span_wire WHERE seq IN (FROM memory.main.doomed_seq);
DELETE FROM store.document_row WHERE seq IN (FROM memory.main.doomed_seq);
