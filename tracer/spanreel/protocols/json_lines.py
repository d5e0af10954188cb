"""JSON lines (newline-delimited JSON), as Ollama streams them: one object a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanreel.protocols.sse import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT_TYPES = (
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/jsonlines",
    "application/json-lines",
)
_TAIL = 16_384
_LOOK = 65_536


def looks_like(data: bytes) -> bool:
    """Tell whether a body is several objects, one a line: a first line that is whole, and another begun."""
    start = data[:_LOOK].lstrip(b"\xef\xbb\xbf \r\n")
    line, newline, rest = start.partition(b"\n")
    return (
        bool(newline)
        and line.startswith(b"{")
        and line.rstrip().endswith(b"}")
        and rest.lstrip().startswith(b"{")
    )


def events(data: bytes, start: int = 0) -> Iterator[Event]:
    """Yield the lines of `data` from offset `start` on as events; a last one without its newline too."""
    position = start
    while position < len(data):
        newline = data.find(b"\n", position)
        end = len(data) if newline < 0 else newline
        line = data[position:end].strip()
        if line:
            yield Event("", line, end)
        position = end + 1


def last(data: bytes, count: int) -> list[Event]:
    """Return the last `count` lines of `data` (fewer if there are fewer), oldest first."""
    if len(data) > _TAIL:
        cut = data.find(b"\n", len(data) - _TAIL)
        if cut >= 0:
            found = list(events(data, cut + 1))
            if len(found) >= count:
                return found[-count:]
    return list(events(data))[-count:]
