SELECT schema_version, next_seq, views FROM store.meta
