"""Token counts and finish reasons of Google's Gemini API, turned inclusive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.call import Usage
from spanreel.protocols.gemini_request import get
from spanreel.protocols.shapes import integer, mapping, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILTERED = (
    "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR",
)  # fmt: skip
_BROKEN = (
    "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE",
    "MALFORMED_RESPONSE",
)  # fmt: skip
FINISH_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(_FILTERED, "content_filter"),
    **dict.fromkeys(_BROKEN, "error"),
}
"""`Candidate.FinishReason` -> the convention's word; others (OTHER, NO_IMAGE) in lower case."""


def finish(reason: object, *, asks_for_tools: bool = False) -> str | None:
    """Return the convention's finish reason; a model that asks for a function says STOP."""
    if not isinstance(reason, str) or not reason or reason == "FINISH_REASON_UNSPECIFIED":
        return None
    found = FINISH_REASONS.get(reason, reason.lower())
    return "tool_call" if found == "stop" and asks_for_tools else found


def usage(raw: object, *, web_searches: int | None = None) -> Usage | None:
    """Read a `usageMetadata` object.

    Cached tokens are inside of the prompt's count; what tools of the server brought in stands beside it and is
    added. Thoughts stand beside the candidates' count and are added, unless the total says that they are in it.
    """
    counts = mapping(raw)
    prompt, tools = _count(counts, "promptTokenCount"), _count(counts, "toolUsePromptTokenCount")
    thoughts = _count(counts, "thoughtsTokenCount")
    if not any(integer(value) is not None for value in counts.values()):
        return Usage(web_searches=web_searches, raw=dict(counts)) if counts or web_searches else None
    inside = sequence(get(counts, "promptTokensDetails")) + sequence(
        get(counts, "toolUsePromptTokensDetails")
    )
    outside = sequence(get(counts, "candidatesTokensDetails")) or sequence(
        get(counts, "responseTokensDetails")
    )
    return Usage(
        input_tokens=None if prompt is None and tools is None else (prompt or 0) + (tools or 0),
        output_tokens=_output(counts, (prompt or 0) + (tools or 0), thoughts),
        cache_read_tokens=_count(counts, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
        audio_input_tokens=_modality(inside, "AUDIO"),
        audio_output_tokens=_modality(outside, "AUDIO"),
        audio_cache_read_tokens=_modality(sequence(get(counts, "cacheTokensDetails")), "AUDIO"),
        image_input_tokens=_modality(inside, "IMAGE"),
        image_output_tokens=_modality(outside, "IMAGE"),
        web_searches=web_searches,
        raw=dict(counts),
    )


def _output(counts: Mapping[str, Any], inputs: int, thoughts: int | None) -> int | None:
    """Return candidates and thoughts together; a count of zero is not sent at all, so that the total must tell."""
    made = _count(counts, "candidatesTokenCount")
    if made is None:
        made = _count(counts, "responseTokenCount")
    total = _count(counts, "totalTokenCount")
    if made is None:
        return thoughts if total is None else max(total - inputs, thoughts or 0)
    if thoughts and total == inputs + made:
        return made
    return made + (thoughts or 0)


def _modality(details: list[Any], modality: str) -> int | None:
    found = [
        count
        for item in details
        if text(mapping(item).get("modality")) == modality
        and (count := _count(mapping(item), "tokenCount")) is not None
    ]
    return sum(found) if found else None


def _count(counts: Mapping[str, Any], name: str) -> int | None:
    found = integer(get(counts, name))
    return found if found is not None and found >= 0 else None
