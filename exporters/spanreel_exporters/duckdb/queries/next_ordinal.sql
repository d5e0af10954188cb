SELECT coalesce(max(ordinal), 0) + 1 FROM store.open_span
