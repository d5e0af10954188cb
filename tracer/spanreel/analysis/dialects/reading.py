"""Total readers of attribute values: whatever another instrumentation wrote becomes a value or None.

Values come as scalars, as lists and dicts (OTLP arrays and kvlists), as JSON text, as the `repr` of a Python
value, or as any of these cut off in the middle. Nothing here raises.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

Attributes = Mapping[str, Any]
_MOST_COUNT: Final = (1 << 31) - 1
_REPR_CHARS: Final = 200_000
"""Longest text that is tried as a Python value: the parser of Python is slow and takes much memory."""
_DEPTH: Final = 200
_OPENINGS: Final = ("{", "[", "(")


def text(value: object) -> str | None:
    """A non-empty text; numbers and booleans become text, structures JSON text."""
    if value is None:
        return None
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return dump(value)


def words(value: object) -> str | None:
    """A non-empty text that was one; the first of a list of texts."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, list):
        return next((found for found in map(words, value[:8]) if found), None)
    return None


def count(value: object) -> int | None:
    """A number of tokens: whole, not negative, of a size that can be; also written as text."""
    if isinstance(value, str):
        value = number(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if 0 <= value <= _MOST_COUNT else None


def number(value: object) -> float | None:
    """A finite number, also written as text."""
    if isinstance(value, str):
        try:
            value = float(value) if len(value) < 64 else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def flag(value: object) -> bool:
    """Whether a boolean is set, also written as text."""
    return value is True or (isinstance(value, str) and value.lower() == "true")


def mapping(value: object) -> dict[str, Any]:
    """The object that a value is or spells; an empty one otherwise."""
    found = structure(value)
    return found if isinstance(found, dict) else {}


def sequence(value: object) -> list[Any]:
    """The list that a value is or spells; an empty one otherwise."""
    found = structure(value)
    return found if isinstance(found, list) else []


def structure(value: object) -> dict[str, Any] | list[Any] | None:
    """The object or list that a value is, or that its text spells as JSON or as Python; else None."""
    if isinstance(value, (dict, list)):
        return value
    if not isinstance(value, str):
        return None
    body = value.strip()
    if not body.startswith(_OPENINGS):
        if body[:2] not in {'"{', '"['}:  # JSON text of a JSON text
            return None
        inner = _json(body)
        return structure(inner) if isinstance(inner, str) and inner != value else None
    found = _json(body)
    if found is None:
        found = _python(body)
    return found if isinstance(found, (dict, list)) else None


def meant(value: object) -> Any:
    """The value that a text spells where it spells a structure, else the value itself."""
    found = structure(value)
    return value if found is None else found


def unquoted(value: object) -> Any:
    """The value of a JSON text of any type (Langfuse and MLflow encode scalars, too), else the value itself."""
    if not isinstance(value, str) or not value:
        return value
    found = _json(value)
    return value if found is None and value.strip() != "null" else found


def _json(body: str) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        return None


def _python(body: str) -> Any:
    """A value that `repr` wrote; None where it is none."""
    if len(body) > _REPR_CHARS or _deep(body):
        return None
    try:
        found = ast.literal_eval(body)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    return _plain(found) if isinstance(found, (dict, list, tuple)) else None


def _deep(body: str) -> bool:
    """Whether brackets nest so deep that Python's own parser might not come back from it."""
    depth = 0
    for char in body:
        if char in "{[(":
            depth += 1
            if depth > _DEPTH:
                return True
        elif char in "}])":
            depth -= 1
    return False


def _plain(value: Any) -> Any:
    """A Python value as JSON has it: tuples and sets become lists, keys texts, what JSON lacks its `repr`."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (str, int, float)):
        return value
    return repr(value)


def dump(value: object) -> str:
    """JSON text of a value; what JSON lacks becomes text."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError, RecursionError):
        return orjson.dumps(repr(value)[:10_000].encode("utf-8", "replace").decode()).decode()


def json_text(value: object) -> str | None:
    """The JSON text for a body: structures (also those spelled as text) as they are, other text quoted."""
    if value is None or value == "":
        return None
    return dump(meant(value))


def first(attributes: Attributes, *keys: str) -> Any:
    """The value of the first of `keys` that is there and not empty."""
    for key in keys:
        value = attributes.get(key)
        if value is not None and value not in ("", [], {}):
            return value
    return None


def first_count(attributes: Attributes, *keys: str) -> int | None:
    """The first of `keys` that is a number of tokens."""
    for key in keys:
        found = count(attributes.get(key))
        if found is not None:
            return found
    return None


def texts(value: object) -> list[str]:
    """A list of texts: from a list, a JSON list, or text separated by commas."""
    found = structure(value)
    if isinstance(found, list):
        return [item if isinstance(item, str) else dump(item) for item in found if item is not None]
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return []


def below(attributes: Attributes, prefix: str) -> dict[str, Any]:
    """The attributes whose names begin with `prefix`, named without it."""
    size = len(prefix)
    return {key[size:]: value for key, value in attributes.items() if key.startswith(prefix)}


def unflatten(attributes: Attributes, prefix: str) -> Any:
    """What `prefix.a.0.b` and so on spell: dicts, and lists where every name is a number.

    Numbers are ordered by value (10 after 9), gaps are closed. None when no name begins with the prefix.
    """
    tree: dict[str, Any] = {}
    dotted = prefix if prefix.endswith(".") else prefix + "."
    for key, value in attributes.items():
        if key.startswith(dotted):
            _put(tree, key[len(dotted) :].split("."), value)
    return _listed(tree) if tree else None


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    if len(path) > _DEPTH // 4:
        return
    for name in path[:-1]:
        below_it = tree.get(name)
        if not isinstance(below_it, dict):
            below_it = tree[name] = {} if below_it is None else {"": below_it}
        tree = below_it
    last = path[-1]
    if isinstance(tree.get(last), dict) and not isinstance(value, dict):
        tree[last][""] = value
    else:
        tree[last] = value


def _listed(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    if tree and all(name.isdecimal() and name.isascii() for name in tree):
        ordered = sorted(tree.items(), key=lambda pair: (len(pair[0].lstrip("0")), pair[0].lstrip("0")))
        return [_listed(value) for _, value in ordered]
    return {name: _listed(value) for name, value in tree.items()}


def items(value: object) -> Iterable[Any]:
    """The items of a list, or the values of a dict whose names are numbers."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [value]
    return []
