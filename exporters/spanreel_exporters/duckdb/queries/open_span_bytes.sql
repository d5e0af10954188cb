SELECT coalesce(sum(strlen(line)), 0) FROM store.open_span
