SELECT count(*) FROM store.open_span
