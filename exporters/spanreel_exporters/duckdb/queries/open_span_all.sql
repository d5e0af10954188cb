SELECT procid, line FROM store.open_span ORDER BY ordinal
