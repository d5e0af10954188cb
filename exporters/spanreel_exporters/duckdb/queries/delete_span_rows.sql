DELETE FROM store.span_row WHERE seq IN (SELECT unnest($seqs))
