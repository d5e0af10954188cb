SELECT id, score, content, metadata FROM store.document WHERE seq = $seq ORDER BY rank
