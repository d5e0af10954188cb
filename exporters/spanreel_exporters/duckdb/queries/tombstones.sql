SELECT kind, value FROM store.tombstone
