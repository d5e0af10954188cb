"""The bytes of a body as they went by: kept by reference with their times, bounded, put together at the end."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from itertools import accumulate
from typing import TYPE_CHECKING

from spanreel.protocols import framing
from spanreel.wire.shrinking import salvaged, smaller, smaller_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanreel.protocols.framing import Framing

HOLD = 32 << 20
"""Bytes of one body held while it passes; beyond it only the last `HOLD_LAST` bytes are."""
HOLD_LAST = 4 << 20
"""The last event of a stream may be long: the whole answer once more, with an image in it."""
TAIL = 64 << 10
"""Bytes that are kept of the end of a stream whose middle is left out."""
KEEP_FACTOR = 4
"""A recorded body may have this many times the bytes of a captured cell (4 MiB by default): a cut in the
middle would break its JSON, so that it is kept whole longer and then shrunk value by value."""
LAST_EVENTS = 3
"""How many of the last events of a stream are kept whatever their length."""


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
        while self._tail_size - len(self._tail[0]) >= HOLD_LAST:
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
    if framed is not None:
        kept, untouched = _bounded_stream(framed, data, tail, limit)
        if kept:
            return kept, untouched
    found = salvaged(data, tail) if tail else smaller(data, limit)
    return (found, 0) if found is not None else (data[:limit], limit)


def _bounded_stream(framed: Framing, data: bytes, tail: bytes, limit: int) -> tuple[bytes, int]:
    """First and last events of a stream: long ones made smaller, the middle left out; the last ones hold the usage."""
    data, untouched = smaller_events(framed, data, limit // 4)
    if len(data) <= limit and not tail:
        return data, untouched
    ends = [event.end for event in framed.events(data)]
    head_end = next((end for end in reversed(ends) if end <= limit), 0)
    head = data[:head_end] + (_LEFT_OUT if framed is framing.SSE else b"")
    if not tail:
        return head + data[max(_last_events(ends, len(data)), head_end) :], min(head_end, untouched)
    if framed is framing.SSE or framed is framing.LINES:
        begin = next(
            (event.end for event in framed.events(tail)), len(tail)
        )  # the first may be half an event
        tail, _ = smaller_events(framed, tail[begin:], limit // 4)
        head += tail[_last_events([event.end for event in framed.events(tail)], len(tail)) :]
    return head, min(head_end, untouched)


_LEFT_OUT = b"\n\n: spanreel left out the middle of this stream"


def _last_events(ends: Sequence[int], size: int) -> int:
    """Where the last `TAIL` bytes of events begin, or the last few events where these are longer."""
    near = next((end for end in ends if end >= size - TAIL), size)
    return min(near, ends[-1 - LAST_EVENTS] if len(ends) > LAST_EVENTS else 0)
