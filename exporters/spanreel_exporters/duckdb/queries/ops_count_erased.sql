-- What the doomed traces hold, table by table.
SELECT
  (SELECT count(*) FROM memory.main.doomed_seq) AS spans,
  (SELECT count(*) FROM store.body_text WHERE seq IN (FROM memory.main.doomed_seq)) AS bodies,
  (SELECT count(*) FROM store.span_wire WHERE seq IN (FROM memory.main.doomed_seq)) AS provider_bytes,
  (SELECT count(*) FROM store.document_row WHERE seq IN (FROM memory.main.doomed_seq)) AS documents,
  (SELECT count(*) FROM store.score_row WHERE trace_id IN (FROM memory.main.doomed)) AS scores,
  (SELECT count(*) FROM store.flag_row WHERE trace_id IN (FROM memory.main.doomed)) AS flags,
  (SELECT count(*) FROM store.open_span WHERE trace_id IN (FROM memory.main.doomed)) AS open_records
