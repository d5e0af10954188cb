SELECT trace_id, span_id, seq, state FROM store.span_row
WHERE seq BETWEEN $first_seq AND $last_seq AND trace_id IN (SELECT unnest($trace_ids))
