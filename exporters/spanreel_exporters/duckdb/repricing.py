"""The same usage at other prices: of another day, another list, another model. What comes out is an estimate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from spanreel.analysis.pricing import REPORTED, UNPRICED, Prices, estimate
from spanreel.analysis.rates import USD
from spanreel.analysis.record import USAGE_FIELDS, Canonical
from spanreel_exporters.duckdb.queries import sql
from spanreel_exporters.duckdb.write import append

if TYPE_CHECKING:
    import duckdb

_DAY_NS: Final = 86_400_000_000_000
_DATED: Final = re.compile(r"[-@](\d{4}-?\d{2}-?\d{2}|\d{4}|latest|v\d.*)(:.*)?", re.IGNORECASE)
_FETCH: Final = 10_000


@dataclass(frozen=True, slots=True)
class Swap:
    """What calls of one model would cost on another; dated versions of the first are meant, too."""

    old: str
    new: str
    provider: str | None = None
    """Whose list the new one is looked up on; None: that of the call's provider, else of whoever the name points to."""

    def means(self, model: str | None) -> bool:
        """Whether a call's model is the one to be swapped."""
        if model is None:
            return False
        asked, given = self.old.lower(), model.lower()
        return given == asked or (given.startswith(asked) and bool(_DATED.fullmatch(given, len(asked))))


@dataclass(frozen=True, slots=True)
class Estimate:
    """How calls are to be priced anew."""

    prices: Prices
    as_of_ns: int | None = None
    """The day (its first ns) whose prices hold; None: the day of each call."""
    swaps: tuple[Swap, ...] = ()


def reprice(con: duckdb.DuckDBPyConnection, asked: Estimate) -> None:
    """Put other costs on the calls of the bill. A reported cost stays where no list knows the model."""
    con.execute(sql("cost_repriced"))
    rows = list(_priced(con, asked))
    append(con, "temp.main.repriced", rows)
    con.execute(sql("cost_apply"))


def _priced(con: duckdb.DuckDBPyConnection, asked: Estimate) -> Iterator[tuple[Any, ...]]:
    cursor = con.execute(sql("cost_usage"))
    names = [column[0] for column in cursor.description]
    while rows := cursor.fetchmany(_FETCH):
        for row in rows:
            call = dict(zip(names, row, strict=True))
            found = _one(call, asked)
            if found is not None:
                yield (call["seq"], *found)


def _one(call: dict[str, Any], asked: Estimate) -> tuple[str | None, str | None, str] | None:
    """(model now meant, cost, source) of a call; None where it keeps what it has."""
    row = Canonical(
        kind=call["kind"], name="", provider=call["provider"], request_model=call["request_model"],
        response_model=call["response_model"], service_tier=call["service_tier"], usage_mark=call["usage_mark"],
        **{name: call[name] for name in USAGE_FIELDS},
    )  # fmt: skip
    at_ns, host, model = call["start_ns"], call["host"], None
    if asked.as_of_ns is not None:
        at_ns = asked.as_of_ns + at_ns % _DAY_NS
    for swap in asked.swaps:
        if swap.means(row.response_model) or swap.means(row.request_model):
            model, host = swap.new, None
            row.request_model = row.response_model = swap.new
            row.provider = _lists(swap, row.provider, at_ns, asked.prices)
            break
    found = estimate(row, at_ns=at_ns, host=host, prices=asked.prices)
    if found is None:
        return None if call["cost_source"] == REPORTED and model is None else (model, None, UNPRICED)
    return model, as_text(found[0]), found[1]


def _lists(swap: Swap, provider: str | None, at_ns: int, prices: Prices) -> str | None:
    """The provider on whose list the new model stands."""
    if swap.provider is not None:
        return swap.provider
    return provider if prices.rates(provider, swap.new, at_ns, "", None) is not None else None


def as_text(amount: int) -> str:
    """An amount in 1e-24 USD as decimal text with the 12 digits that are kept."""
    return f"{(Decimal(amount) / USD).quantize(Decimal('1e-12')):f}"
