"""The head of the trace page: what was asked, what was answered, what is wrong, what took the time.

Pure functions over rows and JSON texts; positions are those of the columns in `payload.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from spanreel_exporters.duckdb.preview import vectors
from spanreel_viewer import payload

Body = Callable[[int], tuple[str | None, str | None]]
"""Position -> (input, output) JSON texts of that span."""

LIMIT: Final = 600
"""Characters of a question or an answer that the head carries."""

_ASKED: Final = (
    "question", "query", "prompt", "user_input", "user_message", "message", "text", "input", "topic", "task", "content",
)  # fmt: skip
_ANSWERED: Final = (
    "answer", "output_text", "response", "reply", "output", "result", "text", "content", "message", "summary",
)  # fmt: skip


def parse(text: str | None) -> Any:
    """Return the JSON value of `text`, or `text` itself where it is not JSON."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def message_text(message: Any, *, limit: int = LIMIT) -> str:
    """Return the text of one message, in the GenAI convention's shape or a provider's."""
    if isinstance(message, str):
        return message[:limit]
    if not isinstance(message, dict):
        return ""
    parts = message.get("parts", message.get("content"))
    if isinstance(parts, str):
        return parts[:limit]
    if not isinstance(parts, list):
        return ""
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and part.get("type", "text") in {"text", "input_text", "output_text"}:
            texts.append(str(part.get("content", part.get("text", ""))))
        elif isinstance(part, dict) and part.get("type") == "embedding" and "dimension" in part:
            texts.append(vectors(part))
    return "\n".join(text for text in texts if text)[:limit]


def _is_messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(m, dict) and "role" in m for m in value)


def asked(value: Any) -> str:
    """Return the user's words in an input: the first user message, the argument called like a question, or the only text."""
    if isinstance(value, str):
        return value.strip()[:LIMIT]
    if _is_messages(value):
        for message in value:
            if message.get("role") == "user" and (text := message_text(message).strip()):
                return text
        return ""
    if isinstance(value, dict):
        return _named(value, _ASKED, asked)
    if isinstance(value, list) and len(value) == 1:
        return asked(value[0])
    return ""


def answered(value: Any) -> str:
    """Return the words of an output: the last message with text, the field called like an answer, or the only text."""
    if isinstance(value, str):
        return value.strip()[:LIMIT]
    if _is_messages(value):
        for message in reversed(value):
            if text := message_text(message).strip():
                return text
        return ""
    if isinstance(value, dict):
        return _named(value, _ANSWERED, answered)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return "".join(value).strip()[:LIMIT]
    return ""


def _named(value: dict[str, Any], names: tuple[str, ...], read: Callable[[Any], str]) -> str:
    for nest in ("messages", "kwargs", "args"):
        if value.get(nest) and (text := read(value[nest])):
            return text
    lowered = {key.lower(): item for key, item in value.items()}
    for name in names:
        if lowered.get(name) is not None and (text := read(lowered[name])):
            return text
    texts = [item for item in value.values() if isinstance(item, str) and item.strip()]
    return texts[0].strip()[:LIMIT] if len(texts) == 1 else ""


def tell(table: Mapping[str, Any], body: Body) -> dict[str, Any]:
    """Return the head of one trace: `asked`, `answered`, `wrong`, `slow`, each with the position to jump to."""
    columns = table["columns"]
    kinds = [table["kinds"][code] for code in columns["kind"]]
    return {
        "asked": _unless_too_deep(_asked, columns, kinds, body),
        "answered": _unless_too_deep(_answered, columns, kinds, body),
        "wrong": _wrong(columns, table["errors"]),
        "slow": _slow(columns, kinds),
    }


def _unless_too_deep(
    find: Callable[[Mapping[str, list[Any]], Sequence[str], Body], dict[str, Any] | None],
    columns: Mapping[str, list[Any]],
    kinds: Sequence[str],
    body: Body,
) -> dict[str, Any] | None:
    """A value nested a thousand levels holds nobody's words, and must not cost the page."""
    try:
        return find(columns, kinds, body)
    except RecursionError:
        return None


def _root(columns: Mapping[str, list[Any]]) -> int:
    """The first span without a parent that is no attempt which was tried again; else the first without a parent."""
    roots = [place for place, parent in enumerate(columns["parent"]) if parent < 0]
    answering = [place for place in roots if not columns["flags"][place] & payload.DUPLICATE]
    return (answering or roots or [-1])[0]


def _asked(columns: Mapping[str, list[Any]], kinds: Sequence[str], body: Body) -> dict[str, Any] | None:
    """The root's question, else that of the first model call."""
    model = next((place for place, kind in enumerate(kinds) if kind == "llm"), -1)
    for place in dict.fromkeys((_root(columns), model)):
        if place >= 0 and (text := asked(parse(body(place)[0]))):
            return {"text": text, "at": place}
    return None


def _answered(columns: Mapping[str, list[Any]], kinds: Sequence[str], body: Body) -> dict[str, Any] | None:
    """The root's answer, else that of the model call which ended last."""
    ends = columns["end"]
    models = [place for place, kind in enumerate(kinds) if kind == "llm" and ends[place] is not None]
    models.sort(key=lambda place: ends[place], reverse=True)
    root = _root(columns)
    if root >= 0 and columns["flags"][root] & payload.ERROR:
        return None  # what a step said on the way is no answer
    whole = parse(body(root)[1]) if root >= 0 else None
    if text := answered(whole):
        return {"text": text, "at": root}
    if whole not in (None, "", {}, [], True, False):
        return {"text": json.dumps(whole, ensure_ascii=False)[:LIMIT], "at": root}
    for place in models[:2]:
        if text := answered(parse(body(place)[1])):
            return {"text": text, "at": place}
    return None


def _wrong(columns: Mapping[str, list[Any]], errors: Mapping[int, str]) -> dict[str, Any]:
    """The worst error: where the failure that reached the root began; else the first failure that was caught."""
    flags, parent = columns["flags"], columns["parent"]
    failed = [
        place for place, bits in enumerate(flags) if bits & payload.ERROR and not bits & payload.DUPLICATE
    ]
    causes = set(failed) - {parent[place] for place in failed}
    found: dict[str, Any] = {
        "errors": len(causes),
        "running": sum(1 for bits in flags if bits & payload.RUNNING),
        "interrupted": sum(1 for bits in flags if bits & payload.INTERRUPTED),
        "stopped": _innermost(payload.INTERRUPTED, flags, parent),
        "left": _innermost(payload.ABANDONED, flags, parent),
        "cut": next((place for place, bits in enumerate(flags) if bits & payload.TRUNCATED), None),
        "missing": sum(1 for bits in flags if bits & payload.MISSING_PARENT),
    }
    if not failed:
        return found
    fatal = [place for place in sorted(causes) if _reaches_root(place, flags, parent)]
    telling = [place for place in sorted(causes) if ": " in errors[place]]
    worst = fatal[-1] if fatal else (telling or sorted(causes))[0]
    return found | {"at": worst, "text": errors[worst], "fatal": bool(fatal)}


def _innermost(bit: int, flags: Sequence[int], parent: Sequence[int]) -> int | None:
    """Where it happened (the process ended, the reader left): the first span with the bit under which none has it."""
    cut = [place for place, bits in enumerate(flags) if bits & bit]
    above = {parent[place] for place in cut}
    return next((place for place in cut if place not in above), None)


def _reaches_root(place: int, flags: Sequence[int], parent: Sequence[int]) -> bool:
    while place >= 0:
        if not flags[place] & payload.ERROR:
            return False
        place = parent[place]
    return True


def _slow(columns: Mapping[str, list[Any]], kinds: Sequence[str]) -> dict[str, Any] | None:
    """The kind of step that the trace waited for longest: share of the whole, how many, and the longest one."""
    waits: dict[str, list[int]] = {}
    total = sum(columns["wait"])
    for place, wait in enumerate(columns["wait"]):
        if wait > 0:
            waits.setdefault(kinds[place], []).append(place)
    if total <= 0 or len(kinds) < 2:
        return None

    def weight(kind: str) -> float:
        return float(sum(columns["wait"][place] for place in waits[kind]))

    kind = max(sorted(waits), key=weight)
    longest = max(waits[kind], key=lambda place: (columns["wait"][place], -place))
    return {"kind": kind, "share": weight(kind) / total, "steps": len(waits[kind]), "at": longest}
