UPDATE store.meta SET next_seq = $next_seq
