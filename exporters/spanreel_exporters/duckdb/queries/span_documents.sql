SELECT rank, id, score, content, metadata FROM document_live WHERE seq = $seq ORDER BY rank
