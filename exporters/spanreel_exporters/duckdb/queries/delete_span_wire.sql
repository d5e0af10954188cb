DELETE FROM store.span_wire WHERE seq IN (SELECT unnest($seqs))
