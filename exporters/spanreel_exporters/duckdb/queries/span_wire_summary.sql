SELECT attempt, encoding, meta, strlen(request), strlen(response) FROM wire_live WHERE seq = $seq ORDER BY attempt
