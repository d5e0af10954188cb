DELETE FROM store.document WHERE seq IN (SELECT unnest($seqs))
