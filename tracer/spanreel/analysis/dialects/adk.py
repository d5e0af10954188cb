"""Google's Agent Development Kit (scope `gcp.vertex.agent`): `gcp.vertex.agent.*` of 1.x, GenAI conventions since 2.

In 1.x request and response stand as JSON, and `gen_ai.usage.output_tokens` leaves thoughts out; the response's own
`usage_metadata` has them. The spans of agents have no attributes at all, only a name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from spanreel.analysis.dialects import foreign, vocabulary
from spanreel.analysis.dialects.messages import answers, loose
from spanreel.analysis.dialects.reading import dump, json_text, mapping, words
from spanreel.analysis.dialects.usage_shapes import provider_usage, usage_in
from spanreel.analysis.record import Canonical, RawSpan

NAME: Final = "adk"
_HEAD: Final = "gcp.vertex.agent."
_NONE: Final = frozenset({"<not specified>", "N/A", "{}", "<not serializable>"})


def matches(raw: RawSpan) -> bool:
    """Its scope, or its own names."""
    return foreign.scope(raw)[0] == "gcp.vertex.agent" or any(key.startswith(_HEAD) for key in raw.attributes)


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read what the conventions beside it leave open."""
    del lose
    get = raw.attributes
    row = foreign.begin(raw, NAME)
    asked, answered = mapping(get.get(_HEAD + "llm_request")), mapping(get.get(_HEAD + "llm_response"))
    row.kind = _kind(raw)
    row.session_id = row.session_id or words(get.get(_HEAD + "session_id"))
    system = words(get.get("gen_ai.provider.name")) or words(get.get("gen_ai.system"))
    row.provider = (
        "gcp.gemini"
        if system in {"gcp.vertex.agent", None} and row.kind == "llm"
        else vocabulary.provider(system)
    )
    if row.kind == "llm":
        row.request_model = words(get.get("gen_ai.request.model")) or words(asked.get("model"))
        row.response_model = words(answered.get("model_version"))
        row.finish_reason = vocabulary.finish(answered.get("finish_reason"))
        provider_usage(row, usage_in(answered))
        spoken = loose(asked) if asked else []
        said = (
            answers({**mapping(answered.get("content")), "finish_reason": row.finish_reason})
            if answered.get("content")
            else []
        )
        row.input, row.output = (dump(spoken) if spoken else None), (dump(said) if said else None)
    elif row.kind == "tool":
        row.tool_name = words(get.get("gen_ai.tool.name")) or raw.name.removeprefix("execute_tool ")
        row.input, row.output = (_body(get.get(_HEAD + name)) for name in ("tool_call_args", "tool_response"))
    return row


def _body(value: object) -> str | None:
    return None if (isinstance(value, str) and value in _NONE) or not value else json_text(value)


def _kind(raw: RawSpan) -> str:
    found = vocabulary.kind(raw.attributes.get("gen_ai.operation.name"))
    if found is not None:
        return found
    head = raw.name.partition(" ")[0]
    return {"call_llm": "llm", "agent_run": "agent", "invocation": "chain", "execute_tool": "tool"}.get(
        head, "span"
    )
