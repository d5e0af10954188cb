"""OpenLLMetry's spans of calls: the flattened names of its releases up to 0.5x, and what the current ones add.

Legacy: `gen_ai.prompt.N.*`, `gen_ai.completion.N.*`, `llm.request.type`, `llm.request.functions.N.*`, `llm.usage.*`.
All releases mark the chunks of a stream by span events, of which the first is the time to first token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from spanreel.analysis.dialects import foreign, genai, vocabulary
from spanreel.analysis.dialects.messages import Message, messages, role
from spanreel.analysis.dialects.reading import Attributes, dump, first, mapping, unflatten, unquoted, words
from spanreel.analysis.record import Canonical, RawSpan

NAME: Final = "openllmetry"
_FLAT: Final = re.compile(r"gen_ai\.(prompt|completion)\.\d+\.")
_OLD: Final = re.compile(r"llm\.(prompts|completions)\.\d+\.")
_SCOPE: Final = "opentelemetry.instrumentation."
_OTHERS: Final = ("opentelemetry.instrumentation.genai", "opentelemetry.instrumentation.openai_v2")
_MARKS: Final = (
    "llm.request.type",
    "llm.is_streaming",
    "gen_ai.is_streaming",
    "gen_ai.task.id",
    "llm.headers",
)
_CHUNKS: Final = ("llm.content.completion.chunk", "gen_ai.content.completion.chunk")


def matches(raw: RawSpan) -> bool:
    """Its flattened names, one of its own, or a scope of its LLM instrumentations."""
    get = raw.attributes
    if any(mark in get for mark in _MARKS) or any(_FLAT.match(key) or _OLD.match(key) for key in get):
        return True
    scope = foreign.scope(raw)[0]
    return scope.startswith(_SCOPE) and not scope.startswith(_OTHERS) and "gen_ai.openai.api_base" in get


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read what the conventions do not cover."""
    del lose
    get = raw.attributes
    row = foreign.begin(raw, NAME)
    row.kind = vocabulary.kind(get.get("llm.request.type")) or genai.kind_of(get)
    row.user_id = row.user_id or words(first(get, "gen_ai.user", "llm.user"))
    row.finish_reason = vocabulary.finish(
        first(get, "llm.response.finish_reason", "llm.response.stop_reason")
    )
    _usage(row, get)
    found = [at for at in (foreign.first_event(raw, name) for name in _CHUNKS) if at is not None]
    foreign.first_token(row, raw, at_ns=min(found, default=None))
    if row.kind == "tool":
        return row
    asked = _flattened(get, ("gen_ai.prompt", "llm.prompts"), "user")
    said = _flattened(get, ("gen_ai.completion", "llm.completions"), "assistant")
    if row.kind == "embedding":
        texts = [part.get("content") for one in asked for part in one["parts"]]
        row.input = dump(texts) if texts else None
        return row
    row.input, row.output = (dump(asked) if asked else None), (dump(said) if said else None)
    row.finish_reason = row.finish_reason or next(
        (m["finish_reason"] for m in said if m.get("finish_reason")), None
    )
    return row


def _usage(row: Canonical, get: Attributes) -> None:
    genai.read_usage(row, get)
    if row.input_tokens is None and row.output_tokens is None:
        foreign.usage(row, get.get("llm.usage.prompt_tokens"), get.get("llm.usage.completion_tokens"),
                      reasoning=get.get("llm.usage.reasoning_tokens"))  # fmt: skip


def _flattened(get: Attributes, prefixes: tuple[str, ...], who: str) -> list[Message]:
    for prefix in prefixes:
        told = unflatten(get, prefix)
        if isinstance(told, list):
            found = [one for item in told for one in _message(mapping(item), who)]
            if found:
                return found
    return []


def _message(spoken: Mapping[str, Any], who: str) -> list[Message]:
    """One flattened message; its content may be text, a list of pieces as JSON, or a quoted text."""
    content = spoken.get("content")
    if isinstance(content, str) and content[:1] == '"' == content[-1:]:
        content = unquoted(content)
    speaker = role(spoken.get("role"), who)
    plain = {
        key: value for key, value in spoken.items() if key not in {"content", "role"} and value is not None
    }
    return messages([{**plain, "role": speaker, "content": content or None}], who)
