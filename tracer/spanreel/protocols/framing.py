"""How the events of a streamed body are told apart: server-sent events, JSON lines, a JSON array, Amazon's frames.

A framing is a module with `events(data, start)` and `last(data, count)`; which one a body has is told by its
content type, its path and its first bytes, in that order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from spanreel.protocols import event_stream, json_array, json_lines, sse

if TYPE_CHECKING:
    from collections.abc import Iterator


class Framing(Protocol):
    """What a framing module offers. Total."""

    def events(self, data: bytes, start: int = 0) -> Iterator[sse.Event]:
        """Yield the events of a body from offset `start` on."""
        ...

    def last(self, data: bytes, count: int) -> list[sse.Event]:
        """Return the last `count` events, oldest first."""
        ...


SSE: Framing = sse
LINES: Framing = json_lines
ARRAY: Framing = json_array
FRAMES: Framing = event_stream


def find(data: bytes, content_type: str = "", path: str = "") -> Framing | None:
    """Return the framing of a response body; None for one that is no stream."""
    if event_stream.looks_like(data):
        return FRAMES
    kind = content_type.partition(";")[0].strip().lower()
    if sse.looks_like(data) or (not data and kind == sse.CONTENT_TYPE):
        return SSE
    if kind in json_lines.CONTENT_TYPES or json_lines.looks_like(data):
        return LINES
    if path.endswith(json_array.METHODS) and json_array.looks_like(data):
        return ARRAY
    return None
