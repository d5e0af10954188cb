SELECT count(*) FROM store.open_span WHERE procid <> 'waiting'
