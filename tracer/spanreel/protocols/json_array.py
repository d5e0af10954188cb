"""One JSON array that is streamed element by element, as Google's APIs do without `alt=sse`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from spanreel.protocols.sse import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

METHODS = (":streamGenerateContent", ":streamRawPredict", ":streamQuery")
"""Ends of the paths that answer with such an array. An array from elsewhere is a value, not a stream."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)
"""A string, also one that was cut, or a bracket."""


def looks_like(data: bytes) -> bool:
    """Tell whether a body is an array of objects."""
    start = data[:256].lstrip(b"\xef\xbb\xbf \r\n\t")
    return start.startswith(b"[") and start[1:].lstrip()[:1] in {b"{", b"]", b""}


def events(data: bytes, start: int = 0) -> Iterator[Event]:
    """Yield the objects of the array from offset `start` on, and what there is of one that was cut.

    `start` is 0 or the end of an element.
    """
    depth = 0
    opened = start
    for token in _TOKEN.finditer(data, start):
        mark = token[0]
        if mark == b"{":
            if depth == 0:
                opened = token.start()
            depth += 1
        elif mark == b"}" and depth:
            depth -= 1
            if depth == 0:
                yield Event("", data[opened : token.end()], token.end())
    if depth:
        yield Event("", data[opened:], len(data))


def last(data: bytes, count: int) -> list[Event]:
    """Return the last `count` elements, oldest first. An array has no marks to begin in the middle at."""
    return list(events(data))[-count:]
