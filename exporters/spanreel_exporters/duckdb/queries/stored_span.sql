SELECT s.*, b.input, b.output
FROM store.span_row AS s LEFT JOIN store.span_body AS b ON b.seq = s.seq
WHERE s.seq = $seq
