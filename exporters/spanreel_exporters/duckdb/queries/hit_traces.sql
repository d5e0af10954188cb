SELECT DISTINCT trace_id FROM span_live WHERE seq IN (SELECT unnest($seqs)) AND seq BETWEEN $low AND $high
