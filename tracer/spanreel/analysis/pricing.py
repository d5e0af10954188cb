"""What a call cost: as it was reported, else by the user's prices, else by the dated price book, else unknown.

A call that nobody can price is `unpriced` and costs NULL, never zero. Total: no span makes `price` raise.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spanreel.analysis import price_book, price_file
from spanreel.analysis.price_book import book
from spanreel.analysis.price_file_errors import PriceFileError
from spanreel.analysis.rates import in_usd
from spanreel.analysis.usage_buckets import UNUSABLE, buckets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanreel.analysis.price_file import PriceFile
    from spanreel.analysis.rates import Rates
    from spanreel.analysis.record import Canonical

__all__ = [
    "BILLED_KINDS",
    "CONTAINER_KINDS",
    "NO_FILES",
    "REPORTED",
    "UNPRICED",
    "Prices",
    "book",
    "find",
    "price",
]

BILLED_KINDS: Final = frozenset({"llm", "embedding", "rerank"})
"""Kinds that stand for a call that somebody bills."""
CONTAINER_KINDS: Final = frozenset({"agent", "chain"})
"""Kinds that hold calls; the usage they report is a total of what is below them."""
UNPRICED: Final = "unpriced"
REPORTED: Final = "reported"
FILE_NAME: Final = "prices.toml"
VARIABLE: Final = "SPANREEL_PRICES"


@dataclass(frozen=True, slots=True)
class Prices:
    """The user's price files, in the order in which they are asked; the book comes after them."""

    files: tuple[PriceFile, ...] = ()
    trouble: str | None = None
    """Why a file of the user's is left out."""

    def rates(
        self, provider: str | None, model: str, at_ns: int, tier: str, host: str | None
    ) -> Rates | None:
        """What a model costs at a moment, by the first list that knows it."""
        for file in self.files:
            found = _of_file(file, provider, model, at_ns // _DAY_NS, tier)
            if found is not None:
                return found
        return price_book.rates(provider, model, at_ns, tier, host)


_DAY_NS: Final = 86_400_000_000_000
NO_FILES: Final = Prices()


@lru_cache(maxsize=4096)
def _of_file(file: PriceFile, provider: str | None, model: str, day: int, tier: str) -> Rates | None:
    return file.rates(provider, model, day * _DAY_NS, tier)


def price(
    canonical: Canonical, *, at_ns: int, host: str | None = None, prices: Prices = NO_FILES
) -> tuple[float | None, str | None]:
    """(cost in USD, source) of a call made at `at_ns` (ns since the epoch) to `host` (server.address).

    Sources: `reported`, `user:<name> (<date>)`, `book:genai-prices <version> (<date>)`, `unpriced` (cost None: the
    call was billed, nobody knows how much), None (nothing was billed: another kind of span, a call that failed before
    its answer began, or a span that names neither model nor usage, such as a decorated function around the call itself).
    """
    if canonical.cost_usd is not None and math.isfinite(canonical.cost_usd):
        return canonical.cost_usd, canonical.cost_source or REPORTED
    given, made, units = canonical.input_tokens, canonical.output_tokens, canonical.search_units
    if not given and not made and not units:
        if canonical.kind not in BILLED_KINDS:
            return None, None
        named = canonical.response_model or canonical.request_model
        began = canonical.response_model is not None or canonical.first_visible_ms is not None
        refused = canonical.error_type is not None and not began
        nothing = named is None or refused or given == 0 or made == 0
        return (None, None) if nothing else (None, UNPRICED)
    try:
        found = estimate(canonical, at_ns=at_ns, host=host, prices=prices)
    except Exception:  # a book that chokes on a span must not cost the span
        return None, UNPRICED
    return (None, UNPRICED) if found is None else (in_usd(found[0]), found[1])


def estimate(
    canonical: Canonical, *, at_ns: int, host: str | None = None, prices: Prices = NO_FILES
) -> tuple[int, str] | None:
    """(amount in 1e-24 USD, source) of a call's usage; None when no list prices all of it.

    The model that answered is looked up before the one that was asked for. May raise.
    """
    if canonical.usage_mark in UNUSABLE:
        return None
    counts = buckets(canonical)
    tier = canonical.service_tier or ""
    for model in (canonical.response_model, canonical.request_model):
        if model:
            found = prices.rates(canonical.provider, model, at_ns, tier, host)
            if found is not None:
                amount = found.amount(counts, canonical.web_searches or 0, canonical.search_units or 0)
                return None if amount is None else (amount, found.source)
    return None


def find(store: Path | None, explicit: Path | None = None) -> list[Path]:
    """The price files that count for a store, in the order in which they are asked.

    `--book FILE`, `SPANREEL_PRICES`, `prices.toml` in the store, beside it (the project's root), in the user's
    configuration (`$XDG_CONFIG_HOME/spanreel`, by default ~/.config/spanreel).
    """
    named = os.environ.get(VARIABLE)
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - Path.home() raises
    places = [
        *([store / FILE_NAME, store.parent / FILE_NAME] if store is not None else []),
        Path(config) / "spanreel" / FILE_NAME,
    ]
    asked = [path for path in (explicit, Path(named) if named else None) if path is not None]
    return asked + [path for path in places if path.is_file()]


def load(paths: Iterable[Path]) -> Prices:
    """Read price files. Raises PriceFileError."""
    return Prices(tuple(_load(path, *_stamp(path)) for path in paths))


def load_or_explain(store: Path | None) -> Prices:
    """The files that count for a store; one that cannot be used is left out and explained in `trouble`."""
    files: list[Any] = []
    trouble = None
    for path in find(store):
        try:
            files.append(_load(path, *_stamp(path)))
        except PriceFileError as error:
            trouble = trouble or str(error)
    return Prices(tuple(files), trouble)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, -1
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=32)
def _load(path: Path, _modified_ns: int, _size: int) -> PriceFile:
    return price_file.load(path)
