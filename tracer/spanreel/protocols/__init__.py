"""Provider wire protocols: bytes of request, response and stream -> one canonical `Call`."""
