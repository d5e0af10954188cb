"""The DuckDB store: ingest and reading. Everything that is SQL lives here, in named files."""

from __future__ import annotations
