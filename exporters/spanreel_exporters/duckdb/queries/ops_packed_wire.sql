-- Provider bytes with references into the bodies (wire_text), of traces that are not doomed yet.
SELECT s.trace_id, w.request, b.input, w.response, b.output
FROM store.span_wire AS w JOIN store.span_row AS s ON s.seq = w.seq JOIN store.span_body AS b ON b.seq = w.seq
WHERE (contains(w.request, chr(1)) OR contains(w.response, chr(1))) AND s.trace_id NOT IN (FROM memory.main.doomed)
