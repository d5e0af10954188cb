"""The Anthropic SDK's own spans (2.x, scope `com.anthropic.sdk.*`): GenAI conventions and `anthropic.*`.

Most is the conventions' own; the finish reason stands in `anthropic.message.stop_reason`. Every resource of the API
has such a span; only those with an operation of a model are calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from spanreel.analysis.dialects import foreign, genai, vocabulary
from spanreel.analysis.dialects.reading import count, words
from spanreel.analysis.record import Canonical, RawSpan

NAME: Final = "anthropic_sdk"


def matches(raw: RawSpan) -> bool:
    """Its scope, in any language."""
    return foreign.scope(raw)[0].startswith("com.anthropic.sdk")


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read what the conventions beside it leave open."""
    del lose
    get = raw.attributes
    row = foreign.begin(raw, NAME)
    row.kind = vocabulary.kind(get.get("gen_ai.operation.name")) or "span"
    row.provider = vocabulary.provider(get.get("gen_ai.provider.name")) or "anthropic"
    row.finish_reason = vocabulary.finish(get.get("anthropic.message.stop_reason"))
    row.service_tier = words(get.get("anthropic.response.service_tier"))
    row.session_id = row.session_id or words(get.get("anthropic.session.id"))
    if row.kind in vocabulary.BILLED_KINDS:
        genai.read_usage(row, get)
        row.cache_write_1h_tokens = count(get.get("anthropic.usage.cache_creation.ephemeral_1h_input_tokens"))
    return row
