UPDATE store.meta SET views = $views
