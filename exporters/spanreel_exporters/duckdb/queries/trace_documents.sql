SELECT span_id, rank, id, score, content, metadata FROM document_live
WHERE seq BETWEEN $first_seq AND $last_seq AND trace_id = $trace_id ORDER BY seq, rank
