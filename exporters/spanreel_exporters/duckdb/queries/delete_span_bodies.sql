DELETE FROM store.span_body WHERE seq IN (SELECT unnest($seqs))
