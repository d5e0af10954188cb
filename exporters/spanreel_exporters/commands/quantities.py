"""Reading the quantities that people type: ages such as `30d`, sizes such as `2GB`."""

from __future__ import annotations

import argparse
import re

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
