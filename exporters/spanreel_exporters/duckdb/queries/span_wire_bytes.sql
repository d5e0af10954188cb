SELECT attempt, encoding, meta, request, response FROM wire_live WHERE seq = $seq ORDER BY attempt
