SELECT trace_id, seq FROM span_live WHERE seq IN (SELECT unnest($seqs)) AND seq BETWEEN $low AND $high ORDER BY seq DESC
