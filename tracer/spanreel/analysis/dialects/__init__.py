"""Attributes of any instrumentation -> the canonical record. One file per dialect, one line in the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from spanreel.analysis.dialects import spanreel
from spanreel.analysis.record import Canonical, RawSpan

Lose = Callable[[str], None]


class Dialect(Protocol):
    """A module that reads one family of attribute names."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a module's constant
        """The dialect's name, as it stands in the `dialect` column."""
        ...

    def matches(self, raw: RawSpan) -> bool:
        """Whether the span speaks this dialect."""
        ...

    def normalise(self, raw: RawSpan, lose: Lose) -> Canonical:
        """Read the span. `lose(reason)` counts what could not be read."""
        ...


DIALECTS: Final[tuple[Dialect, ...]] = (spanreel,)
"""First match wins; the recorder's own dialect takes what nobody claims."""


def _ignore(_reason: str) -> None:
    return


def normalise(raw: RawSpan, *, lose: Lose = _ignore) -> Canonical:
    """The canonical record of a span, by the first dialect that matches; the recorder's own if none does."""
    for dialect in DIALECTS:
        if dialect.matches(raw):
            return dialect.normalise(raw, lose)
    return spanreel.normalise(raw, lose)
