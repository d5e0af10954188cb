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

    What orjson refuses and others send (lone surrogates, NaN, broken UTF-8) is read by the slow road,
    and comes out as a value that orjson can write again.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        pass
    try:
        loose = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        value = json.loads(loose, parse_constant=lambda _: None)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
