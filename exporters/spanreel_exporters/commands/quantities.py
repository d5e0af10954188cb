"""Reading the quantities that people type: ages such as `30d`, sizes such as `2GB`."""

from __future__ import annotations

import argparse
import re
import time
from datetime import UTC, datetime

_AGE = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_SIZE = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
}
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)


def age(text: str) -> float:
    """Return seconds of an age: a number and s, m, h, d or w. Raises ArgumentTypeError that shows the form."""
    match = _PATTERN.fullmatch(text.strip())
    unit = _AGE.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no age; write a number and a unit, such as 12h, 30d or 4w"
        )
    return float(match[1]) * unit


def size(text: str) -> int:
    """Return bytes of a size: a number and kB, MB, GB, KiB, MiB or GiB. Raises ArgumentTypeError."""
    match = _PATTERN.fullmatch(text.strip())
    unit = _SIZE.get(match[2].upper()) if match else None
    if match is None or unit is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size; write a number and a unit, such as 500MB or 2GB"
        )
    return round(float(match[1]) * unit)


def moment(text: str) -> int:
    """Return ns since the epoch of an age (`7d` ago), a day (`2026-11-01`, UTC) or a time (`2026-11-01T12:00`).

    A time without a zone is UTC. Raises ArgumentTypeError that shows the forms.
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is not None and match[2].lower() in _AGE:
        return time.time_ns() - round(age(text) * 1e9)
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write an age such as 7d, a day such as 2026-11-01, or 2026-11-01T12:00"
        ) from None
    zoned = found if found.tzinfo else found.replace(tzinfo=UTC)
    return int(zoned.timestamp()) * 1_000_000_000 + zoned.microsecond * 1000


def money(text: str) -> float:
    """Return US dollars of a number, with or without `$`. Raises ArgumentTypeError."""
    try:
        amount = float(text.strip().removeprefix("$"))
    except ValueError:
        amount = -1.0
    if not 0 <= amount < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no amount in US dollars, such as 0.002")
    return amount
