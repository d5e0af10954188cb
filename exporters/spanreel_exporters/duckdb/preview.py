"""One readable line of a recorded value, for lists: what was asked, what was answered."""

from __future__ import annotations

from typing import Any, Final

import orjson

LIMIT: Final = 80
"""Characters of a preview."""
_PARSE_LIMIT: Final = 64 << 10
"""Bytes; a larger value is shown by its head instead of being parsed."""
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


def preview(value: str | None, *, last: bool) -> str | None:
    """A line of at most LIMIT characters of the JSON text `value`; of a conversation its last message.

    `last` says whether a list is best told by its last element (outputs, conversations) or its first.
    """
    if not value or value == "null":
        return None
    if value[0] == '"' and "\\" not in value[: LIMIT * 2]:
        return _line(value[1 : LIMIT * 2].removesuffix('"'))
    if len(value) > _PARSE_LIMIT:
        return _line(value[: LIMIT * 2])
    try:
        found = _speak(orjson.loads(value), last, 0)
    except ValueError:
        return _line(value[: LIMIT * 2])
    return _line(found or value[: LIMIT * 2])


def _line(text: str) -> str:
    line = " ".join(text[: LIMIT * 4].split())
    return line if len(line) <= LIMIT else line[: LIMIT - 1] + "…"


def _speak(value: Any, last: bool, depth: int) -> str:
    """The most telling text inside a value, or ""."""
    if isinstance(value, str):
        return value
    if depth > 6 or value is None:
        return ""
    if isinstance(value, list):
        for item in reversed(value) if last else value:
            found = _speak(item, last, depth + 1)
            if found:
                return found
        return ""
    if isinstance(value, dict):
        return _speak_dict(value, last, depth)
    return str(value)


def _speak_dict(value: dict[str, Any], last: bool, depth: int) -> str:
    if "parts" in value:
        return _speak(value["parts"], last, depth + 1)
    if value.get("type") == "tool_call":
        return f"{value.get('name')}({_flat(value.get('arguments'))})"
    if value.get("type") == "tool_call_response":
        return _flat(value.get("response"))
    for key in _SPEAKING:
        if value.get(key):
            return _speak(value[key], last, depth + 1)
    if len(value) == 1:
        return _speak(next(iter(value.values())), last, depth + 1)
    return ""


def _flat(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
