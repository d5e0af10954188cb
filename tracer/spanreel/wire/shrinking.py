"""Long JSON made short without breaking it: value by value, event by event, and what can be saved of a torn one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import orjson

from spanreel.protocols import framing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanreel.protocols.framing import Framing

LONG_TEXTS = (4_096, 256, 16)
"""Characters that a text may have, tried in order until all of it is short enough."""
LONG_EVENT = 64 << 10
"""Bytes from which on an event of a stream is made smaller: an image, or the whole answer once more at its end."""
LONG_EVENT_TEXTS = (LONG_EVENT, *LONG_TEXTS)
LONG_ARRAY = 256
FIRST_WHOLE = 64 << 10
"""The first long value of a body is left whole up to this many bytes: it tells the dimension of embeddings."""
_NEAR = 64 << 10
_TOLD = re.compile(r'"(model|usage|usageMetadata|meta)"\s*:\s*(?=["{])')
"""What is looked for in a body that is torn: whom to bill for what. A quote inside of a text is escaped."""


def smaller(data: bytes, most: int, texts: Sequence[int] = LONG_TEXTS) -> bytes | None:
    """Return a JSON value of at most `most` bytes with its long texts and number lists cut; None where it cannot be."""
    try:
        value = orjson.loads(data)
        for longest in texts:
            found = orjson.dumps(_Shrinker(longest).shrink(value))
            if len(found) <= most:
                return found
    except (ValueError, TypeError, RecursionError):
        return None
    return None


def smaller_events(framed: Framing, data: bytes, most: int) -> tuple[bytes, int]:
    """Return a stream whose long events are made smaller, and how much of its beginning is untouched.

    Amazon's frames stay as they are: they have lengths and checksums, and no model sends long ones.
    """
    if framed is framing.FRAMES:
        return data, len(data)
    pieces: list[bytes] = []
    taken, begin, untouched = 0, 0, len(data)
    for event in framed.events(data):
        start, begin = begin, event.end
        if len(event.data) <= LONG_EVENT:
            continue
        found = smaller(event.data, most, LONG_EVENT_TEXTS)
        place = data.find(event.data, start, event.end)  # not there: an event of several lines
        if found is not None and place >= 0:
            untouched = min(untouched, place)
            pieces += data[taken:place], found
            taken = place + len(event.data)
    return (b"".join([*pieces, data[taken:]]), untouched) if pieces else (data, untouched)


def salvaged(head: bytes, tail: bytes) -> bytes | None:
    """Return a JSON object of what the two ends of a torn body tell of model and usage; None where they tell nothing."""
    found: dict[str, Any] = {}
    for piece in (head[:_NEAR], tail[-_NEAR:]):
        said = piece.decode("utf-8", "replace")
        for match in _TOLD.finditer(said):
            try:
                value, _ = _DECODER.raw_decode(said, match.end())
            except (ValueError, RecursionError):
                continue
            if isinstance(value, str if match[1] == "model" else dict):
                found[match[1]] = value
    try:
        return orjson.dumps(found) if found else None
    except TypeError:  # numbers beyond 64 bits
        return None


_DECODER = json.JSONDecoder()
_LAST_WORD = re.compile(r"""[^\s"'=:,;]{1,257}\Z""")


def _cut(text: str, longest: int) -> str:
    """Return the beginning of a text without the word that the cut goes through: half a secret looks like none."""
    begin = text[:longest]
    word = _LAST_WORD.search(begin, max(longest - 257, 0))
    if word is None or word.end() - word.start() > min(256, longest // 2):  # an image has no words
        return begin
    return begin[: word.start()]


class _Shrinker:
    __slots__ = ("_longest", "_spared")

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._spared = False

    def shrink(self, value: Any) -> Any:
        if isinstance(value, str):
            if len(value) <= self._longest or self._spare(len(value)):
                return value
            return f"{_cut(value, self._longest)}[... {len(value)} characters]"
        if isinstance(value, list):
            if (
                len(value) > LONG_ARRAY
                and isinstance(value[0], int | float)
                and isinstance(value[-1], int | float)
            ):
                return value if self._spare(len(value) * 12) else value[:8]
            return [self.shrink(item) for item in value]
        if isinstance(value, dict):
            return {key: self.shrink(item) for key, item in value.items()}
        return value

    def _spare(self, size: int) -> bool:
        if self._spared or size > FIRST_WHOLE:
            return False
        self._spared = True
        return True
