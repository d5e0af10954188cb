SELECT attempt, meta, request, response FROM store.span_wire WHERE seq = $seq ORDER BY attempt
