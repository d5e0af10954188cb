SELECT value FROM store.tombstone WHERE kind = 'trace'
