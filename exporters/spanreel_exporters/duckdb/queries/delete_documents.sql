DELETE FROM store.document_row WHERE seq IN (SELECT unnest($seqs))
