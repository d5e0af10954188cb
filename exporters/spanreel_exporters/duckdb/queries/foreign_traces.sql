SELECT DISTINCT trace_id FROM store.span_row
WHERE seq BETWEEN $first_seq AND $last_seq AND trace_id IN (SELECT unnest($trace_ids)) AND dialect <> 'spanreel'
