"""How a value is written, once: `assets/format.js` holds the same rules, and a test holds both to it.

Every function is a function of the value alone, so one value never shows in two formats. Rounding is
half away from zero on the scaled double (`floor(x * 10**digits + 0.5)`), which both languages compute
to the same bit; `toFixed` and `format` disagree on ties.
"""

from __future__ import annotations

import math

MISSING = "\N{EN DASH}"


def _fixed(value: float, digits: int) -> str:
    """Write a non-negative number with that many decimals."""
    scaled = math.floor(value * 10**digits + 0.5)
    if digits == 0:
        return str(scaled)
    whole, part = divmod(scaled, 10**digits)
    return f"{whole}.{part:0{digits}d}"


def _grouped(whole: int) -> str:
    return f"{whole:,}"


def count(value: float | None) -> str:
    """A whole number with thousands separators: `12,345`; from a million on `1.25M`, `3.1B`."""
    if value is None:
        return MISSING
    if value < 0:
        return "-" + count(-value)
    whole = math.floor(value + 0.5)
    if whole < 1_000_000:
        return _grouped(whole)
    if whole < 1_000_000_000:
        return _fixed(whole / 1e6, 2 if whole < 9_995_000 else 1) + "M"
    return _fixed(whole / 1e9, 2) + "B"


def duration(milliseconds: float | None) -> str:
    """A length of time: `0 ms`, `420 µs`, `3.2 ms`, `547 ms`, `2.22 s`, `12.9 s`, `7m 28s`, `2h 05m`, `3d 4h`."""
    if milliseconds is None:
        return MISSING
    ms = milliseconds
    if ms < 0:
        return "-" + duration(-ms)
    if ms < 0.0005:
        return "0 ms"
    if ms < 0.9995:
        return _fixed(ms * 1000, 0) + " µs"
    if ms < 9.95:
        return _fixed(ms, 1) + " ms"
    if ms < 999.5:
        return _fixed(ms, 0) + " ms"
    if ms < 9_995:
        return _fixed(ms / 1000, 2) + " s"
    if ms < 59_950:
        return _fixed(ms / 1000, 1) + " s"
    return _long_duration(math.floor(ms / 1000 + 0.5))


def _long_duration(seconds: int) -> str:
    if seconds < 3_600:
        return f"{seconds // 60}m {seconds % 60:02d}s"
    minutes = math.floor(seconds / 60 + 0.5)
    if minutes < 1_440:
        return f"{minutes // 60}h {minutes % 60:02d}m"
    hours = math.floor(seconds / 3_600 + 0.5)
    return f"{hours // 24}d {hours % 24}h"


def cost(usd: float | None) -> str:
    """US dollars: `$0`, `<$0.0001`, `$0.0087`, `$0.39`, `$12.34`, `$1,234`."""
    if usd is None:
        return MISSING
    if usd < 0:
        return "-" + cost(-usd)
    if usd == 0:
        return "$0"
    if usd < 0.00005:
        return "<$0.0001"
    if usd < 0.09995:
        return "$" + _fixed(usd, 4)
    if usd < 999.995:
        return "$" + _fixed(usd, 2)
    return "$" + _grouped(math.floor(usd + 0.5))


def percent(share: float | None) -> str:
    """A share between 0 and 1: `0 %`, `<0.1 %`, `4.2 %`, `78 %`."""
    if share is None:
        return MISSING
    if share == 0:
        return "0 %"
    if share < 0.0005:
        return "<0.1 %"
    if share < 0.0995:
        return _fixed(share * 100, 1) + " %"
    return _fixed(share * 100, 0) + " %"


def size(octets: float | None) -> str:
    """Bytes in decimal units: `812 B`, `1.2 kB`, `34 kB`, `5.3 MB`."""
    if octets is None:
        return MISSING
    if octets < 999.5:
        return _fixed(octets, 0) + " B"
    value = float(octets)
    for unit in ("kB", "MB"):
        value /= 1000
        if value < 9.95:
            return _fixed(value, 1) + " " + unit
        if value < 999.5:
            return _fixed(value, 0) + " " + unit
    return _fixed(value / 1000, 1) + " GB"


def score(value: float | None) -> str:
    """A relevance or evaluation score, three decimals at most: `0.873`, `12.5`, `-0.2`."""
    if value is None:
        return MISSING
    if value < 0:
        return "-" + score(-value)
    text = _fixed(value, 3)
    return text.rstrip("0").rstrip(".")
