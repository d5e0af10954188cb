"""Reading the values of a `prices.toml`, with errors that lead to the place: file, line, key, nearest known key."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from spanreel.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class PriceFileError(ConfigurationError):
    """A price file that cannot be used."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Takes typed values out of a parsed table; `entry` is the number of the `[[price]]` that it reads."""

    path: Path
    text: str
    entry: int = 0

    def at(self, entry: int) -> Reader:
        """The reader of one `[[price]]` (from 1)."""
        return replace(self, entry=entry)

    def error(self, key: str, words: str) -> PriceFileError:
        """An error at the line of `key`."""
        line = self._line(key)
        place = f"{self.path}:{line}" if line else str(self.path)
        which = f" (price {self.entry})" if self.entry else ""
        return PriceFileError(f"{place}: {key}{which}: {words}")

    def known(self, row: Mapping[str, Any], keys: Iterable[str], *, section: str | None) -> None:
        """Raise for the first key that is none of `keys`."""
        known = tuple(keys)
        for key in row:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
                where = f"no key of [{section}]" if section else "no key of this file"
                raise self.error(key, f"{where}; {hint}")

    def number(self, row: Mapping[str, Any], key: str) -> Decimal | None:
        """A finite number from 0, or None when it is not there."""
        value = row.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise self.error(key, f"{value!r} is no number")
        number = Decimal(value)
        if not number.is_finite() or number < 0:
            raise self.error(key, f"{value} is no price: it is a number from 0")
        return number

    def day(self, row: Mapping[str, Any], key: str) -> date | None:
        """A day, written as a TOML date or as a text."""
        value = row.get(key)
        if isinstance(value, datetime):
            return value.date()
        if value is None or isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            raise self.error(key, f"{value!r} is no day; write it as 2026-01-31") from None

    def pattern(self, row: Mapping[str, Any], key: str) -> re.Pattern[str] | None:
        """A regular expression, or None when it is not there."""
        value = row.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            raise self.error(key, "is a regular expression, written as a text")
        try:
            return re.compile(value, re.IGNORECASE)
        except re.error as error:
            raise self.error(key, f"{value!r} is no regular expression: {error}") from None

    def _line(self, key: str) -> int | None:
        """The line (from 1) on which a key stands, inside of the entry that is read; else the entry's first line."""
        lines = self.text.splitlines()
        begin, end = 0, len(lines)
        if self.entry:
            heads = [at for at, line in enumerate(lines) if re.match(r"\s*\[\[\s*price\s*\]\]", line)]
            if self.entry <= len(heads):
                begin = heads[self.entry - 1]
                end = heads[self.entry] if self.entry < len(heads) else len(lines)
        found = re.compile(rf"(^|[\s,{{.\"'\[]){re.escape(key)}[\"']?\s*(=|\]|\.)")
        for at in range(begin, end):
            if found.search(lines[at].partition("#")[0]):
                return at + 1
        return begin + 1 if self.entry else None
