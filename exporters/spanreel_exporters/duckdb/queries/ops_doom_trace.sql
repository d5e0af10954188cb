-- A trace known by rows, by kept-back records, or by scores alone.
INSERT INTO memory.main.doomed
SELECT $value WHERE EXISTS (FROM store.span_row WHERE trace_id = $value)
  OR EXISTS (FROM store.open_span WHERE trace_id = $value) OR EXISTS (FROM store.score_row WHERE trace_id = $value)
