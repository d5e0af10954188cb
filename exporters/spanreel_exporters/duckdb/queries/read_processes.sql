SELECT procid, info FROM store.process WHERE procid IN (SELECT unnest($procids))
