SELECT 1 FROM store.open_span WHERE procid = 'waiting' LIMIT 1
