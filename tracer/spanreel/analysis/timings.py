"""How fast a call answered, from the times at which the pieces of its stream came."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanreel.analysis.record import Attempt

_LEAST_CHUNKS = 3
"""Fewer pieces than this have no distribution of waits worth a percentile."""


def inter_token_p95_ms(attempt: Attempt) -> float | None:
    """95th percentile (nearest rank) of the waits between the pieces of a stream, in ms.

    A piece is what the socket handed over at once: a token at the speeds at which waits are felt, several when
    they come faster than they are read. None for answers in fewer than three pieces.
    """
    chunks = attempt.meta.get("chunks")
    if not isinstance(chunks, list) or len(chunks) < _LEAST_CHUNKS:
        return None
    try:
        return _p95([chunk[1] for chunk in chunks]) / 1e6
    except (TypeError, IndexError, KeyError):
        return None


def _p95(times: Sequence[int]) -> int:
    waits = sorted([after - before for before, after in pairwise(times)])
    return waits[-(-len(waits) * 95 // 100) - 1]


def first_visible_ms(start_ns: int, value: Any) -> float | None:
    """From a span's start to a time (ns since the epoch), in ms; None where it is no such time."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not start_ns <= value < 1 << 63:
        return None
    return (int(value) - start_ns) / 1e6
