"""What of some spans and log records a store has already: in its file, or waiting in its journal."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from spanreel_exporters.duckdb.queries import sql
from spanreel_exporters.duckdb.reader import DuckReader

_MARK: Final = re.compile(r'"(spanreel\.log\.[0-9a-f]{16})"')


def known_spans(store: Path, spans: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of these (trace, span) pairs those that the store has as ended spans. Raises StoreError."""
    if not _there(store):
        return set()
    with DuckReader(store) as reader:
        rows = reader.connection.execute(
            sql("import_known_spans"), {"trace_ids": [p[0] for p in spans], "span_ids": [p[1] for p in spans]}
        ).fetchall()
    return {(row[0], row[1]) for row in rows}


def known_logs(store: Path, spans: Collection[tuple[str, str]]) -> set[str]:
    """The log records that the store has of these spans, as `trace id + span id + attribute name`.

    Also those whose span has not come yet. Raises StoreError.
    """
    if not _there(store):
        return set()
    asked = {"trace_ids": [p[0] for p in spans], "span_ids": [p[1] for p in spans]}
    with DuckReader(store) as reader:
        rows = reader.connection.execute(sql("import_known_logs"), asked).fetchall()
    return {f"{trace}{span}{mark}" for trace, span, told in rows for mark in _MARK.findall(told or "")}


def _there(store: Path) -> bool:
    return (store / "journal").is_dir()
