UPDATE store.meta SET schema_version = $version
