"""What was lost, by reason: the program's own `loss` records and what ingest itself had to give up."""

from __future__ import annotations

from typing import Any, Final

import orjson

_MOST: Final = (1 << 63) - 1
LossKey = tuple[str, int, str]
"""(reason, pid, service)"""


class Losses:
    """Counts per (reason, pid, service) with the first and last time seen (ns)."""

    def __init__(self) -> None:
        self.counts: dict[LossKey, tuple[int, int, int]] = {}

    def add(self, key: LossKey, count: int, first_ns: int, last_ns: int) -> None:
        """Add `count` losses seen between two times."""
        known = self.counts.get(key)
        if known is not None:
            count, first_ns, last_ns = known[0] + count, min(known[1], first_ns), max(known[2], last_ns)
        self.counts[key] = (min(count, _MOST), first_ns, last_ns)

    def add_record(self, cell: bytes) -> bool:
        """Add a journal `loss` record; False when it cannot be read."""
        try:
            loss: dict[str, Any] = orjson.loads(cell)
            key = (str(loss["reason"]), int(loss.get("pid") or 0), str(loss.get("service") or ""))
            numbers = int(loss["count"]), int(loss["first_ns"]), int(loss["last_ns"])
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return False
        if not all(abs(number) <= _MOST for number in (key[1], *numbers)):
            return False
        self.add(key, *numbers)
        return True

    def rows(self) -> list[tuple[str, int, str, int, int, int]]:
        """Rows of `loss_row`."""
        return [(*key, *value) for key, value in self.counts.items()]
