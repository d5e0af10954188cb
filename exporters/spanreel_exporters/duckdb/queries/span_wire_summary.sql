SELECT attempt, encoding, meta, request_bytes, response_bytes FROM wire_live WHERE seq = $seq ORDER BY attempt
