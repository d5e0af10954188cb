"""One readable line of a recorded value, for lists: what was asked, what was answered."""

from __future__ import annotations

from typing import Any, Final

import orjson

LIMIT: Final = 80
"""Characters of a preview."""
_PARSE_LIMIT: Final = 64 << 10
"""Bytes; a larger value is shown by its head instead of being parsed."""
_EMPTY: Final = frozenset({"{}", "[]", '""'})
_SPEAKING: Final = (
    "content",
    "text",
    "message",
    "answer",
    "output",
    "question",
    "query",
    "input",
    "prompt",
    "result",
)


def preview(value: str | None, *, last: bool, answer: bool = False) -> str | None:
    """A line of at most LIMIT characters of the JSON text `value`; of a conversation its last message.

    None where nothing was recorded, "" where what was recorded is empty: the arguments of a function without any.
    `last` says whether a list is best told by its last element (outputs, conversations) or its first. A question
    may be told by its only argument; an `answer` of one field is told with the field's name, unless it is a text.
    """
    if not value or value == "null":
        return None
    if value in _EMPTY:
        return ""
    if value[0] == '"' and "\\" not in value[: LIMIT * 2]:
        return _line(value[1 : LIMIT * 2].removesuffix('"'))
    if len(value) > _PARSE_LIMIT:
        return _line(value[: LIMIT * 2])
    try:
        found = _speak(orjson.loads(value), last, answer, 0)
    except ValueError:
        return _line(value[: LIMIT * 2])
    return _line(found or value[: LIMIT * 2])


def _line(text: str) -> str:
    line = " ".join(text[: LIMIT * 4].split())
    return line if len(line) <= LIMIT else line[: LIMIT - 1] + "…"


def _speak(value: Any, last: bool, answer: bool, depth: int) -> str:
    """The most telling text inside a value, or ""."""
    if isinstance(value, str):
        return value
    if depth > 6 or value is None:
        return ""
    if isinstance(value, list):
        return _speak_list(value, last, answer, depth)
    if isinstance(value, dict):
        return _speak_dict(value, last, answer, depth)
    return _flat(value)


def _speak_list(value: list[Any], last: bool, answer: bool, depth: int) -> str:
    if len(value) > 1 and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(_flat(item) for item in value[: LIMIT * 2])
    for item in reversed(value) if last else value:
        found = _speak(item, last, answer, depth + 1)
        if found:
            return found
    return ""


def _speak_dict(value: dict[str, Any], last: bool, answer: bool, depth: int) -> str:
    if "parts" in value:
        return _speak(value["parts"], last, answer, depth + 1)
    if value.get("type") == "tool_call":
        return f"{value.get('name')}({_flat(value.get('arguments'))})"
    if value.get("type") == "tool_call_response":
        return _flat(value.get("response"))
    if value.get("type") == "embedding" and "dimension" in value:
        return vectors(value)
    for key in _SPEAKING:
        if value.get(key):
            return _speak(value[key], last, answer, depth + 1)
    if len(value) == 1:
        only = next(iter(value.values()))
        if not answer or isinstance(only, str):
            return _speak(only, last, answer, depth + 1)
    return ""


def vectors(part: dict[str, Any]) -> str:
    """What an embedding's answer was, whose numbers are not kept: how many vectors, how long."""
    count, dimension = part.get("count"), part.get("dimension")
    return f"{count} vector{'' if count == 1 else 's'} of {dimension} dimensions"


def _flat(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
