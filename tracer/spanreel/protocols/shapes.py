"""Total readers of JSON that came over the wire: a wrong shape is an empty one, never an exception."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

EMPTY: Mapping[str, Any] = {}
_LEAST, _MOST = -(2**63), 2**63 - 1


def mapping(value: object) -> Mapping[str, Any]:
    """Return `value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else EMPTY


def sequence(value: object) -> list[Any]:
    """Return `value` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str | None:
    """Return `value` if it is a string."""
    return value if isinstance(value, str) else None


def integer(value: object) -> int | None:
    """Return a whole number that fits 64 bits, else None; booleans are not numbers, 3.0 is 3."""
    if type(value) is not int:  # `bool` is a subclass
        if not (isinstance(value, float) and value.is_integer()):
            return None
        value = int(value)
    return value if _LEAST <= value <= _MOST else None


def number(value: object) -> float | None:
    """Return `value` as a float if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if abs(result) < float("inf") else None


def present(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pairs whose value is not None."""
    return {key: value for key, value in pairs.items() if value is not None}


def parse(data: bytes | str) -> Any:
    """Return the JSON value in `data`, or None where there is none.

    What orjson refuses and others send and read (lone surrogates, NaN, broken UTF-8, a byte order mark, 1e400) is
    read by the slow road, and comes out as a value that orjson can write again; a number without bounds is None.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        pass
    if isinstance(data, bytes):
        if data[:_LOOK].lstrip(_LEADING)[:1] not in _STARTS:  # an image is not copied as text to find out
            return None
        data = data.decode("utf-8-sig", "replace")
    try:
        value = json.loads(data, parse_constant=lambda _: None, parse_float=_finite, parse_int=_short)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


_LOOK = 256
_LEADING = b"\xef\xbb\xbf \t\r\n"
_STARTS = tuple(bytes([start]) for start in b'{["-0123456789tfnNI')
_MOST_DIGITS = 300


def _finite(digits: str) -> float | None:
    return number(float(digits))


def _short(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else None
