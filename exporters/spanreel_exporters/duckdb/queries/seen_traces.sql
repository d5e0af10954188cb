SELECT trace_id, first_seq, last_seq FROM store.trace_row WHERE trace_id IN (SELECT unnest($trace_ids))
