"""The one tree of exceptions that spanreel raises, and only at `configure()`, the CLI and readers.

SpanreelError
├── ConfigurationError   an argument or environment variable that cannot be used
├── StoreError           a store that cannot be opened, with its path and the way out
│   ├── NewerStoreError  written by a newer spanreel
│   └── OlderStoreError  written by an older spanreel, and not migrated yet
└── QueryError           SQL or a search that is refused or does not parse
"""

from __future__ import annotations


class SpanreelError(Exception):
    """Base of every exception that spanreel raises on purpose."""


class ConfigurationError(SpanreelError):
    """An argument or environment variable that cannot be used; names it and the accepted values."""


class StoreError(SpanreelError):
    """A store that cannot be opened or written; names the path, the cause and the way out."""


class NewerStoreError(StoreError):
    """The store was written by a newer spanreel."""


class OlderStoreError(StoreError):
    """The store was written by an older spanreel and has to be migrated before it is read."""


class QueryError(SpanreelError):
    """SQL or a search expression that is refused or does not parse."""
