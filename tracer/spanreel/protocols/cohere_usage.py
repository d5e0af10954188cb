"""What Cohere counts and bills: `usage` of API v2, `meta` of API v1, embeddings and reranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.call import Usage
from spanreel.protocols.shapes import integer, mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

FINISH_REASONS = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_call",
    "ERROR": "error",
    "ERROR_TOXIC": "content_filter",
    "ERROR_LIMIT": "length",
    "USER_CANCEL": "stop",
    "TIMEOUT": "error",
}
"""cohere.types.chat_finish_reason and finish_reason -> the convention's word."""


def finish(reason: object) -> str | None:
    """Return the convention's finish reason."""
    if not isinstance(reason, str) or not reason:
        return None
    return FINISH_REASONS.get(reason, reason.lower())


def usage(raw: object) -> Usage | None:
    """Read `{"billed_units": ..., "tokens": ..., "cached_tokens": ...}`.

    The billed count wins over the counted one: the convention asks for it, and the prices are per billed token.
    """
    counts = mapping(raw)
    billed, counted = mapping(counts.get("billed_units")), mapping(counts.get("tokens"))
    if not billed and not counted:
        return None
    return Usage(
        input_tokens=_first("input_tokens", billed, counted),
        output_tokens=_first("output_tokens", billed, counted),
        cache_read_tokens=_first("cached_tokens", counts),
        image_input_tokens=_first("image_tokens", billed),
        search_units=_first("search_units", billed),
        raw={key: value for key, value in counts.items() if key in _KEPT},
    )


_KEPT = ("billed_units", "tokens", "cached_tokens")


def _first(name: str, *places: Mapping[str, Any]) -> int | None:
    for place in places:
        value = integer(place.get(name))
        if value is not None and value >= 0:
            return value
    return None
