"""What the tests of real SDKs share: rows of the `spans` view, prices by hand, and the bare client's results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import orjson

import spanreel
from spanreel import wire
from spanreel_exporters.duckdb.ingest import catch_up

T = TypeVar("T")


def rows(store: Path, kind: str = "llm") -> list[dict[str, Any]]:
    """The spans of a kind as the public view has them, oldest first, attributes parsed."""
    catch_up(store)
    found = spanreel.sql(
        "SELECT * FROM spans WHERE kind = ? ORDER BY start_ns, span_id", params=[kind], store=store
    )
    return [{**row, "attributes": orjson.loads(row["attributes"])} for row in found]


def row(store: Path, kind: str = "llm") -> dict[str, Any]:
    """The one span of a kind."""
    found = rows(store, kind)
    assert len(found) == 1, [item["name"] for item in found]
    return found[0]


def documents(store: Path) -> list[tuple[Any, ...]]:
    """Rank, id, content and score of every document that the public view has, in its order."""
    catch_up(store)
    query = "SELECT rank, id, content, score FROM documents ORDER BY trace_id, span_id, rank"
    return [tuple(item.values()) for item in spanreel.sql(query, store=store)]


def tokens(row: dict[str, Any]) -> tuple[int | None, ...]:
    """Input, output, cache read, cache write, reasoning, as the view has them."""
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    return tuple(row[name] for name in names)


def price(*parts: tuple[int, float]) -> float:
    """US dollars for (tokens, price of a million) pairs."""
    return sum(count * rate for count, rate in parts) / 1e6


def with_and_without(results: Callable[[], T]) -> tuple[T, T]:
    """What a program gets inside a trace with the hooks in, and with them taken out."""
    with spanreel.span("root"):
        with_hook = results()
    wire.uninstall()
    try:
        without = results()
    finally:
        wire.install()
    return with_hook, without
