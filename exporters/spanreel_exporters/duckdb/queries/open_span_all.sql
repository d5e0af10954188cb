SELECT procid, line FROM store.open_span WHERE procid <> 'waiting' ORDER BY ordinal
