DELETE FROM store.preview WHERE seq IN (SELECT unnest($seqs))
