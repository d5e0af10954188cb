SELECT 1 FROM store.open_span LIMIT 1
