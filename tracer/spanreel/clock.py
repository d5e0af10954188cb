"""Time and ids: the only place that reads a clock or a random source.

`now()` is wall time and `tick()` a monotonic clock, both integers in nanoseconds; a span's end is its
start on the wall plus ticks, so that a clock that jumps never bends a duration. `bits(n)` gives n random
bits from a generator of our own: the program's `random.seed()` neither disturbs nor is disturbed.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

now: Callable[[], int] = time.time_ns
tick: Callable[[], int] = time.perf_counter_ns
_source = random.Random()
bits: Callable[[int], int] = _source.getrandbits


def reseed() -> None:
    """Give a forked child ids of its own."""
    _source.seed(os.urandom(32))


def use(
    *,
    now_ns: Callable[[], int] | None = None,
    tick_ns: Callable[[], int] | None = None,
    getrandbits: Callable[[int], int] | None = None,
) -> None:
    """Replace the clock and the id source (deterministic tests); without arguments, the real ones return.

    Takes effect for recorders made afterwards, and for the running one after `configure()`.
    """
    global now, tick, bits  # noqa: PLW0603 - this module is the holder of these three
    now = now_ns or time.time_ns
    tick = tick_ns or time.perf_counter_ns
    bits = getrandbits or _source.getrandbits
