"""A user's own prices: `prices.toml`.

    name = "contract 2026"
    updated = 2026-11-01

    [usd]                             # what one unit of a currency was worth, from a day on
    EUR = [{ from = 2026-01-01, rate = 1.08 }, { from = 2026-07-01, rate = 1.11 }]

    [[price]]
    provider = "openai|azure.*"       # regular expressions over the whole name, case does not count
    model = "gpt-4o(-2024-.*)?"
    from = 2026-01-01                 # first day
    to = 2026-12-31                   # last day
    currency = "EUR"
    input = 2.5                       # each per million tokens
    cache_read = 1.25
    output = 10
    batch_discount = 0.5
    above = [{ input_tokens = 200000, input = 5, output = 15 }]

The first entry that fits a call prices it. A bucket without a price costs what the bucket that holds it costs
(a cache read: input; reasoning: output). `free = true` states that a deployment of one's own costs nothing.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from spanreel.analysis.price_file_errors import PriceFileError, Reader
from spanreel.analysis.rates import Rates, Units, ladder, per_token, per_unit

if TYPE_CHECKING:
    from pathlib import Path

TOKENS: Final = (
    "input", "cache_read", "cache_write", "cache_write_1h", "audio_input", "audio_cache_read", "image_input",
    "output", "reasoning", "audio_output", "image_output",
)  # fmt: skip
"""Prices per million tokens, in the order of `Buckets`."""
_HOLDER: Final = {
    "cache_read": "input", "cache_write": "input", "cache_write_1h": "cache_write", "audio_input": "input",
    "audio_cache_read": "cache_read", "image_input": "input", "reasoning": "output", "audio_output": "output",
    "image_output": "output",
}  # fmt: skip
_UNITS: Final = ("web_search", "search_unit", "request")
_SELECTORS: Final = (
    "provider",
    "model",
    "tier",
    "from",
    "to",
    "currency",
    "free",
    "batch_discount",
    "above",
    "note",
)
_ENTRY_KEYS: Final = (*_SELECTORS, *TOKENS, *_UNITS)
_BY_TIME: Final = ("per_hour", "hourly", "per_month", "monthly", "per_minute", "per_second", "per_day")


@dataclass(frozen=True, slots=True)
class Entry:
    """One `[[price]]`."""

    provider: re.Pattern[str] | None
    model: re.Pattern[str]
    tier: str | None
    first: date | None
    last: date | None
    currency: str
    prices: tuple[tuple[int, dict[str, Decimal]], ...]
    """(input tokens above which they hold, prices by key), the base (-1) first."""
    batch_factor: Decimal | None

    def fits(self, provider: str | None, model: str, day: date, tier: str) -> bool:
        """Whether it prices a call."""
        if (self.first is not None and day < self.first) or (self.last is not None and day > self.last):
            return False
        if self.provider is not None and not self.provider.fullmatch(provider or ""):
            return False
        if self.tier is not None and self.tier != tier:
            return False
        return self.model.fullmatch(model) is not None


@dataclass(frozen=True, slots=True, eq=False)
class PriceFile:
    """The prices of one file; two of them are the same only if they are one object, so that it can be a cache's key."""

    source: str
    entries: tuple[Entry, ...]
    currencies: dict[str, tuple[tuple[date, Decimal], ...]] = field(default_factory=dict)
    updated: date | None = None

    def rates(self, provider: str | None, model: str, at_ns: int, tier: str) -> Rates | None:
        """What the file says of a model on the day of a call; None when no entry fits."""
        day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at_ns // 1_000_000_000)).date()
        return self.rates_of_day(provider, model, day, tier.lower())

    def rates_of_day(self, provider: str | None, model: str, day: date, tier: str) -> Rates | None:
        """The same for a day (UTC)."""
        for entry in self.entries:
            if entry.fits(provider, model, day, tier):
                exchange = self._exchange(entry.currency, day)
                return None if exchange is None else _rates(entry, self.source, exchange, tier)
        return None

    def _exchange(self, currency: str, day: date) -> Decimal | None:
        """USD of one unit of a currency on a day; None before its first dated rate."""
        if currency == "USD":
            return Decimal(1)
        held = [rate for start, rate in self.currencies.get(currency, ()) if start <= day]
        return held[-1] if held else None


def _rates(entry: Entry, source: str, exchange: Decimal, tier: str) -> Rates:
    factor, note = exchange, ""
    if tier == "batch" and entry.tier is None and entry.batch_factor is not None:
        factor, note = exchange * entry.batch_factor, f", batch x {entry.batch_factor.normalize()}"
    steps = []
    merged: dict[str, Decimal] = {}
    for above, prices in entry.prices:
        merged = {**merged, **prices}
        steps.append((above, tuple(_token(merged, key, factor) for key in TOKENS)))
    base = entry.prices[0][1]
    units = (per_unit(base[key] * exchange) if key in base else None for key in _UNITS)
    converted = f", {entry.currency} at {exchange.normalize()}" if entry.currency != "USD" else ""
    return Rates(ladder(steps), source + converted + note, Units(*units))


def _token(prices: dict[str, Decimal], key: str, factor: Decimal) -> int | None:
    at: str | None = key
    while at is not None:
        if at in prices:
            return per_token(prices[at], factor)
        at = _HOLDER.get(at)
    return None


def load(path: Path) -> PriceFile:
    """Read a file. Raises PriceFileError: it names the file, the line, the key and the nearest known one."""
    try:
        text = path.read_text(encoding="utf-8")
        modified = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC).date()
    except (OSError, UnicodeDecodeError) as error:
        raise PriceFileError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse(text, path, modified)


def parse(text: str, path: Path, modified: date | None = None) -> PriceFile:
    """The same for a text; `modified` dates a file that does not say `updated`."""
    try:
        table = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise PriceFileError(f"{path}: {error}") from error
    reader = Reader(path, text)
    reader.known(table, ("name", "updated", "usd", "price"), section=None)
    currencies = _currencies(reader, table.get("usd", {}))
    rows = table.get("price", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise reader.error("price", "prices are written as [[price]] tables")
    entries = tuple(_entry(reader.at(number), row, currencies) for number, row in enumerate(rows, 1))
    updated = reader.day(table, "updated") or modified
    name = table.get("name", path.name)
    if not isinstance(name, str):
        raise reader.error("name", "a name is a text")
    source = f"user:{name}" + (f" ({updated.isoformat()})" if updated else "")
    return PriceFile(source, entries, currencies, updated)


def _currencies(reader: Reader, table: object) -> dict[str, tuple[tuple[date, Decimal], ...]]:
    if not isinstance(table, dict):
        raise reader.error("usd", "[usd] is a table of currencies")
    found = {}
    for currency, rows in table.items():
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise reader.error(
                currency, f"{currency} is a list such as [{{ from = 2026-01-01, rate = 1.08 }}]"
            )
        rates = []
        for row in rows:
            reader.known(row, ("from", "rate"), section="usd")
            start, rate = reader.day(row, "from"), reader.number(row, "rate")
            if start is None or not rate:
                raise reader.error(
                    currency, "a rate needs `from` (a day) and `rate` (USD of one unit, above 0)"
                )
            rates.append((start, rate))
        found[currency.upper()] = tuple(sorted(rates))
    return found


def _entry(reader: Reader, row: dict[str, Any], currencies: dict[str, Any]) -> Entry:
    for key in _BY_TIME:
        if key in row:
            raise reader.error(
                key,
                f"{key!r} is a price for time, and a call is not billed by time: divide what the deployment costs by "
                "the tokens it serves and give `input` and `output` per million, or write `free = true`",
            )
    reader.known(row, _ENTRY_KEYS, section="price")
    currency = str(row.get("currency", "USD")).upper()
    if currency != "USD" and currency not in currencies:
        raise reader.error(
            "currency", f"no rate for {currency}: add [usd] {currency} = [{{ from = ..., rate = ... }}]"
        )
    discount = reader.number(row, "batch_discount")
    if discount is not None and discount > 1:
        raise reader.error("batch_discount", "a discount is a share from 0 to 1: 0.5 is half the price")
    first, last = reader.day(row, "from"), reader.day(row, "to")
    if first and last and first > last:
        raise reader.error("to", f"{last} lies before `from` {first}")
    tier = row.get("tier")
    return Entry(
        provider=reader.pattern(row, "provider"),
        model=reader.pattern(row, "model") or _missing(reader),
        tier=None if tier is None else str(tier).lower(),
        first=first,
        last=last,
        currency=currency,
        prices=_prices(reader, row),
        batch_factor=None if discount is None else 1 - discount,
    )


def _missing(reader: Reader) -> re.Pattern[str]:
    raise reader.error("model", "a price needs `model`, a regular expression over the model's name")


def _prices(reader: Reader, row: dict[str, Any]) -> tuple[tuple[int, dict[str, Decimal]], ...]:
    given = {key: price for key in (*TOKENS, *_UNITS) if (price := reader.number(row, key)) is not None}
    if row.get("free") is True:
        if any(given.values()):
            raise reader.error("free", "free = true, and yet there is a price")
        given = {"input": Decimal(0), "output": Decimal(0), **dict.fromkeys(_UNITS, Decimal(0))}
    if not given:
        raise reader.error("model", f"a price needs at least one of {', '.join((*TOKENS, *_UNITS))}")
    steps = [(-1, given)]
    above = row.get("above", [])
    if not isinstance(above, list) or not all(isinstance(step, dict) for step in above):
        raise reader.error("above", "tiers are a list such as [{ input_tokens = 200000, input = 5 }]")
    for step in above:
        reader.known(step, ("input_tokens", *TOKENS), section="price")
        start = step.get("input_tokens")
        if not isinstance(start, int) or isinstance(start, bool) or start < 0:
            raise reader.error("above", "a tier needs `input_tokens`, the number above which it holds")
        steps.append(
            (start, {key: price for key in TOKENS if (price := reader.number(step, key)) is not None})
        )
    return tuple(sorted(steps, key=lambda step: step[0]))
