SELECT DISTINCT procid FROM store.open_span WHERE procid <> 'waiting'
