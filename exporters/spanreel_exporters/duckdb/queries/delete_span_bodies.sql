DELETE FROM store.body_text WHERE seq IN (SELECT unnest($seqs))
