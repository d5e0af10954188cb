"""Pydantic AI, every version of its instrumentation settings (1 to 6), beside the GenAI conventions.

Version 1 wrote `events`; up to 2 a tool's arguments stood in `tool_arguments` and the agent's span was `agent run`.
What an agent's span says of tokens is the sum of its calls (`gen_ai.aggregated_usage.*` since version 2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from spanreel.analysis.dialects import foreign, genai
from spanreel.analysis.dialects.logfire import events
from spanreel.analysis.dialects.messages import messages
from spanreel.analysis.dialects.reading import dump, first, json_text, sequence, words
from spanreel.analysis.record import Canonical, RawSpan

NAME: Final = "pydantic_ai"
_NAMES: Final = frozenset({
    "model_request_parameters", "tool_arguments", "tool_response", "final_result", "all_messages_events", "agent_name",
})  # fmt: skip


def matches(raw: RawSpan) -> bool:
    """Its scope, or one of its own names."""
    return (
        foreign.scope(raw)[0].startswith("pydantic-ai")
        or not _NAMES.isdisjoint(raw.attributes)
        or any(key.startswith(("pydantic_ai.", "gen_ai.aggregated_usage.")) for key in raw.attributes)
    )


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read what Pydantic AI writes beside the conventions."""
    del lose
    get = raw.attributes
    row = foreign.begin(raw, NAME)
    row.kind = _kind(raw)
    if row.kind == "tool":
        row.tool_name = words(get.get("gen_ai.tool.name"))
        row.input, row.output = json_text(get.get("tool_arguments")), json_text(get.get("tool_response"))
    elif row.kind == "agent":
        _agent(row, raw)
    elif row.kind == "llm":
        foreign.reported_cost(row, get.get("operation.cost"))
        genai.read_usage(row, get)
        asked, said = events(get.get("events"))
        row.input, row.output = (dump(asked) if asked else None), (dump(said) if said else None)
    return row


def _kind(raw: RawSpan) -> str:
    get = raw.attributes
    found = genai.kind_of(get)
    if found not in {"span", "agent"}:
        return found
    if (
        raw.name == "agent run"
        or first(get, "agent_name", "all_messages_events", "pydantic_ai.all_messages") is not None
    ):
        return "agent"
    if (
        raw.name.startswith(("running tool:", "running tool"))
        and "tools" not in get
        and "gen_ai.tool.name" in get
    ):
        return "tool"
    return "chain" if raw.name.startswith("running") and "tools" in get else found


def _agent(row: Canonical, raw: RawSpan) -> None:
    """The conversation up to the final answer, and that answer."""
    get = raw.attributes
    asked, said = events(get.get("all_messages_events"))
    if not asked and not said:
        asked = messages(sequence(get.get("pydantic_ai.all_messages")))
        while asked and asked[-1]["role"] == "assistant":
            said.insert(0, asked.pop())
    row.input = dump(asked) if asked else None
    row.output = dump(said) if said else json_text(get.get("final_result"))
