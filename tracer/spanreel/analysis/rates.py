"""What one price list says of one model at one moment: rates by bucket, in exact integers.

Amounts are counted in 1e-24 USD, so that published prices, their halves and prices converted from another
currency add up without drift; the sum becomes a float once, at the end, correctly rounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanreel.analysis.usage_buckets import Buckets

USD: Final = 10**24
"""Units of one dollar."""
MILLION: Final = 1_000_000
_EXACT: Final = Decimal(USD)


@dataclass(frozen=True, slots=True)
class Step:
    """Rates that hold for calls whose input has more than `above` tokens."""

    above: int
    per_token: tuple[int | None, ...]
    """In the order of `Buckets`; None where the list has no price for a bucket."""


@dataclass(frozen=True, slots=True)
class Units:
    """What is billed beside tokens, each of one unit; None where the list has no price for it."""

    web_search: int | None = None
    search_unit: int | None = None
    request: int | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """One model's prices. `source` stands in `cost_source`."""

    steps: tuple[Step, ...]
    """By `above`, the lowest (-1) first."""
    source: str
    units: Units = field(default_factory=Units)

    def amount(self, counts: Buckets, searches: int = 0, search_units: int = 0) -> int | None:
        """What a call costs, in 1e-24 USD; None where a bucket that it used has no price here.

        Searches without a price are part of what a request costs, where requests have one (Perplexity's Sonar).
        """
        given = sum(counts[:7])
        rates = self.steps[0].per_token
        for step in self.steps[1:]:
            if given > step.above:
                rates = step.per_token
        total = self.units.request or 0
        for count, rate in zip(counts, rates, strict=True):
            if count:
                if rate is None:
                    return None
                total += count * rate
        for count, rate in ((searches, self.units.web_search), (search_units, self.units.search_unit)):
            if count:
                if rate is not None:
                    total += count * rate
                elif self.units.request is None:
                    return None
        return total


def per_token(price: Decimal, factor: Decimal = Decimal(1)) -> int:
    """A price per million tokens as 1e-24 USD per token."""
    return int(price * factor * _EXACT / MILLION)


def per_unit(price: Decimal, units: int = 1) -> int:
    """A price of `units` units as 1e-24 USD per unit."""
    return int(price * _EXACT / units)


def in_usd(amount: int) -> float:
    """An amount as the nearest float of USD."""
    return amount / USD


def ladder(steps: Sequence[tuple[int, tuple[int | None, ...]]]) -> tuple[Step, ...]:
    """Steps in order, the base (-1) first."""
    return tuple(Step(above, rates) for above, rates in sorted(steps, key=lambda step: step[0]))
