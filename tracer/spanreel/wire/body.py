"""The bytes of a body as they went by: kept by reference with their times, bounded, put together at the end."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import orjson

from spanreel.protocols import framing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanreel.protocols.framing import Framing

HOLD = 32 << 20
"""Bytes of one body held while it passes; beyond it only the last `TAIL` bytes are."""
TAIL = 64 << 10
KEEP_FACTOR = 4
"""A recorded body may have this many times the bytes of a captured cell (4 MiB by default): a cut in the
middle would break its JSON, so that it is kept whole longer and then shrunk value by value."""
LONG_TEXT = 4_096
LONG_ARRAY = 256
FIRST_WHOLE = 64 << 10
"""The first long value of a body is left whole up to this many bytes: it tells the dimension of embeddings."""


class ChunkLog:
    """Chunks in the order they came, with the tick of each; `cut` counts bytes that are not held any more."""

    __slots__ = ("_tail", "_tail_size", "chunks", "cut", "latest", "size", "ticks")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.ticks: list[int] = []
        self.size = 0
        self.cut = 0
        self.latest = 0
        self._tail: deque[bytes] = deque()
        self._tail_size = 0

    def note(self, chunk: bytes, tick: int) -> None:
        """Take one chunk; nothing is copied."""
        self.size += len(chunk)
        self.latest = tick
        if self.size <= HOLD:
            self.chunks.append(chunk)
            self.ticks.append(tick)
            return
        self._tail.append(chunk)
        self._tail_size += len(chunk)
        while self._tail_size - len(self._tail[0]) >= TAIL:
            gone = len(self._tail.popleft())
            self._tail_size -= gone
            self.cut += gone

    def close(self) -> None:
        """Let go of what was held: it is written, and what comes after it is not wanted."""
        self.chunks, self.ticks, self.size = [], [], HOLD

    def tail(self) -> bytes:
        """Return the last bytes of a body that was too long to hold, else nothing."""
        return b"".join(self._tail)


class Timeline:
    """Where each chunk starts and ends in a body, and when it came (ns after the request was sent)."""

    __slots__ = ("ends", "starts", "times")

    def __init__(self, chunks: Sequence[bytes], times: Sequence[int]) -> None:
        self.ends = list(accumulate(map(len, chunks)))
        self.starts = [0, *self.ends[:-1]] if self.ends else []
        self.times = list(times)

    def at(self, offset: int) -> int | None:
        """When the byte at `offset` came, None where that is not known."""
        if not self.ends or not 0 <= offset < self.ends[-1]:
            return None
        return self.times[bisect_left(self.ends, offset + 1)]


def bounded(data: bytes, tail: bytes, limit: int, framed: Framing | None = None) -> tuple[bytes, int]:
    """Return a body of at most about `limit` bytes that still parses, and how much of its beginning is untouched.

    `tail` is what followed a body that was too long to be held, `framed` how its events are told apart.
    """
    if len(data) <= limit and not tail:
        return data, len(data)
    if framed is framing.SSE:
        return _bounded_stream(data, tail, limit)
    if framed is not None and not tail:
        kept, untouched = _bounded_events(framed, data, limit)
        if untouched or framed is framing.LINES:
            return kept, untouched
    if not tail:
        try:
            shrunk = orjson.dumps(shrink(orjson.loads(data)))
        except (ValueError, TypeError, RecursionError):
            shrunk = data
        if len(shrunk) <= limit:
            return shrunk, 0
    return data[:limit], limit


def _bounded_stream(data: bytes, tail: bytes, limit: int) -> tuple[bytes, int]:
    """First and last events of a stream, a comment between them; the last ones hold the usage."""
    if not tail:
        data, tail = data[:-TAIL], data[-TAIL:]
    head_end = max(data.rfind(b"\n\n", 0, limit) + 2, data.rfind(b"\r\n\r\n", 0, limit) + 4)
    head = data[:head_end] if head_end > len(b"\r\n\r\n") else b""
    rest = tail[tail.find(b"\n\n") + 2 :] if b"\n\n" in tail else tail[tail.find(b"\r\n\r\n") + 4 :]
    return head + b": spanreel left out the middle of this stream\n\n" + rest, len(head)


def _bounded_events(framed: Framing, data: bytes, limit: int) -> tuple[bytes, int]:
    """First and last events of JSON lines or a JSON array; what stands between two events goes with the second."""
    ends = [event.end for event in framed.events(data)]
    head_end = next((end for end in reversed(ends) if end <= limit), 0)
    rest = next((end for end in ends if end >= max(head_end, len(data) - TAIL)), head_end)
    return data[:head_end] + data[rest:], head_end


def shrink(value: Any) -> Any:
    """Return a JSON value with its long texts and number lists cut short, the first of them left whole."""
    return _Shrinker().shrink(value)


class _Shrinker:
    __slots__ = ("_spared",)

    def __init__(self) -> None:
        self._spared = False

    def shrink(self, value: Any) -> Any:
        if isinstance(value, str):
            if len(value) <= LONG_TEXT or self._spare(len(value)):
                return value
            return f"{value[:LONG_TEXT]}[... {len(value)} characters]"
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
