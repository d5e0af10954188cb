"""MLflow's tracing (2.14 to 3.x), exported over OTLP: `mlflow.*`, every value JSON text.

The names of what was asked and answered are `mlflow.spanInputs` and `mlflow.spanOutputs`, in the provider's own
format (`mlflow.message.format`). Usage is read from the provider's answer where that is there, since
`mlflow.chat.tokenUsage` leaves reasoning out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from spanreel.analysis.dialects import foreign, vocabulary
from spanreel.analysis.dialects.messages import answers, loose
from spanreel.analysis.dialects.reading import (
    Attributes,
    below,
    dump,
    first,
    json_text,
    mapping,
    meant,
    number,
    text,
    unquoted,
    words,
)
from spanreel.analysis.dialects.usage_shapes import provider_usage, usage_in
from spanreel.analysis.record import Canonical, RawSpan

NAME: Final = "mlflow"
_TYPES: Final = {"chat_model": "llm", "unknown": "span", "workflow": "chain"}
_FORMATS: Final = frozenset(
    {"openai", "anthropic", "gemini", "mistral", "groq", "bedrock", "cohere", "ollama"}
)
_CHUNK: Final = re.compile(r"mlflow\.chunk\.item\.\d+")


def matches(raw: RawSpan) -> bool:
    """MLflow's own names."""
    return any(key.startswith("mlflow.") for key in raw.attributes)


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read the span."""
    del lose
    get = raw.attributes
    row = foreign.begin(raw, NAME)
    told = words(unquoted(get.get("mlflow.spanType")))
    row.kind = _TYPES.get((told or "").lower()) or vocabulary.kind(told) or "span"
    _context(row, get)
    asked, answered = mapping(get.get("mlflow.spanInputs")), mapping(get.get("mlflow.spanOutputs"))
    if row.kind in vocabulary.BILLED_KINDS:
        _call(row, get, asked, answered)
        foreign.first_token(row, raw, at_ns=_first_chunk(raw))
    _content(row, get)
    return row


def _context(row: Canonical, get: Attributes) -> None:
    row.session_id = row.session_id or words(unquoted(first(get, "mlflow.trace.session", "mlflow.session")))
    row.user_id = row.user_id or words(unquoted(first(get, "mlflow.trace.user", "mlflow.user")))
    row.prompt_name = row.prompt_name or text(unquoted(get.get("mlflow.prompt.name")))
    foreign.metadata(
        row, {key: unquoted(value) for key, value in below(get, "mlflow.trace.metadata.").items()}
    )


def _call(row: Canonical, get: Attributes, asked: Mapping[str, Any], answered: Mapping[str, Any]) -> None:
    model = words(unquoted(get.get("mlflow.llm.model")))
    spelled = words(unquoted(get.get("mlflow.message.format")))
    row.provider = vocabulary.provider(unquoted(get.get("mlflow.llm.provider"))) or (
        vocabulary.provider(spelled) if spelled in _FORMATS else None
    )
    row.request_model = (
        words(first(asked, "model", "modelId", "model_name")) or words(unquoted(get.get("model"))) or model
    )
    row.response_model = words(first(answered, "model", "model_version", "modelVersion"))
    if row.response_model is None and model != row.request_model:
        row.response_model = model
    row.response_id = words(first(answered, "id", "response_id", "responseId"))
    row.service_tier = words(answered.get("service_tier"))
    _ = provider_usage(row, usage_in(answered)) or provider_usage(row, get.get("mlflow.chat.tokenUsage"))
    cost = mapping(get.get("mlflow.llm.cost"))
    total = number(first(cost, "total_cost", "total"))
    if total is not None:
        foreign.reported_cost(row, total)


def _first_chunk(raw: RawSpan) -> int | None:
    """When the first chunk of a streamed answer came: each is an event."""
    return min(
        (at for name, at, _ in foreign.events(raw) if at is not None and _CHUNK.fullmatch(name)), default=None
    )


def _content(row: Canonical, get: Attributes) -> None:
    asked, answered = get.get("mlflow.spanInputs"), get.get("mlflow.spanOutputs")
    if row.kind == "llm":
        spoken, said = loose(asked), loose(unquoted(answered), "assistant") or answers(unquoted(answered))
        row.input = dump(spoken) if spoken else None
        row.output = dump(said) if said else None
        row.finish_reason = next((m["finish_reason"] for m in said if m.get("finish_reason")), None)
        return
    row.input, row.output = json_text(unquoted(asked)), json_text(unquoted(answered))
    if row.kind == "tool":
        row.tool_name = words(unquoted(get.get("mlflow.spanFunctionName"))) or row.name
    elif row.kind in {"retrieval", "rerank"}:
        row.input = json_text(foreign.query_of(asked))
        row.documents = foreign.documents_of(answered)
    elif row.kind == "embedding":
        inner = first(mapping(asked), "input", "texts", "content", "inputs")
        row.input = json_text(meant(inner)) or row.input
