"""Server-sent events, as far as model APIs use them: blocks, their `event` and `data` lines, and where they end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT_TYPE = "text/event-stream"
DONE = b"[DONE]"
"""The data of the event that ends a stream of the OpenAI family."""

_BLANK_LINE = re.compile(rb"\r?\n\r?\n|\r\r")
_FIRST_LINES = (b"data:", b"event:", b":", b"id:", b"retry:")
_TAILS = (4_096, 65_536)
"""Bytes looked at for the last events before the whole body is: a few deltas, a Responses API's final event."""


class Event(NamedTuple):
    """One event: its name ("" if none), its data lines joined by LF, and the offset where its block ends."""

    name: str
    data: bytes
    end: int


def looks_like(data: bytes) -> bool:
    """Tell whether a body is an event stream rather than one JSON value."""
    return data[:256].lstrip(b"\xef\xbb\xbf \r\n").startswith(_FIRST_LINES)


def events(data: bytes, start: int = 0) -> Iterator[Event]:
    """Yield the events of `data` from offset `start` on; comments and empty blocks are passed over.

    A last block without its blank line (a stream that was cut) is yielded too: its JSON tells whether
    it is whole.
    """
    position = start
    for separator in _BLANK_LINE.finditer(data, start):
        event = _read(data[position : separator.start()], separator.start())
        position = separator.end()
        if event is not None:
            yield event
    event = _read(data[position:], len(data))
    if event is not None:
        yield event


def last(data: bytes, count: int) -> list[Event]:
    """Return the last `count` events of `data` (fewer if there are fewer), oldest first."""
    for length in _TAILS:
        cut = _BLANK_LINE.search(data, len(data) - length) if len(data) > length else None
        if cut is not None:
            found = list(events(data, cut.end()))
            if len(found) >= count:
                return found[-count:]
    return list(events(data))[-count:]


def _read(block: bytes, end: int) -> Event | None:
    name = ""
    lines: list[bytes] = []
    for line in block.lstrip(b"\xef\xbb\xbf").splitlines():
        field, colon, value = line.partition(b":")
        if not colon and not field:
            continue
        value = value.removeprefix(b" ")
        if field == b"data":
            lines.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    if not lines:
        return None
    return Event(name, b"\n".join(lines), end)
