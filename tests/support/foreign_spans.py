"""Spans of other instrumentations as the importer writes them, for tests of what reads them."""

from __future__ import annotations

from typing import Any

import orjson
from journal_fixture import MS, T0, Writer, ids

from spanreel.analysis.record import RawSpan

GENAI = "opentelemetry.instrumentation.genai.openai"
SDK = "com.anthropic.sdk.python"


def call(
    response: str | None = None,
    *,
    model: str = "gpt-4o-2024-08-06",
    tokens: tuple[int | None, int | None] = (49, 31),
    text: str | None = None,
    more: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Attributes of a chat in the GenAI conventions."""
    told: dict[str, Any] = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": model, "gen_ai.response.id": response, "gen_ai.usage.input_tokens": tokens[0],
        "gen_ai.usage.output_tokens": tokens[1],
    }  # fmt: skip
    if text is not None:
        told["gen_ai.output.messages"] = orjson.dumps(
            [{"role": "assistant", "parts": [{"type": "text", "content": text}]}]
        ).decode()
    return {key: value for key, value in {**told, **(more or {})}.items() if value is not None}


def raw(attributes: dict[str, Any], *, scope: str = GENAI, version: str = "", **fields: Any) -> RawSpan:
    """A foreign span as it comes to a dialect."""
    told = {**attributes, "spanreel.scope": {"name": scope, "version": version}}
    events = fields.pop("events", None)
    if events is not None:
        told["spanreel.events"] = events
    otlp = fields.pop("otlp", None)
    if otlp is not None:
        told["spanreel.otlp"] = otlp
    known: dict[str, Any] = {
        "trace_id": "a" * 32, "span_id": "b" * 16, "parent_id": None, "foreign_parent": False, "kind": "span",
        "name": "n", "start_ns": T0, "end_ns": T0 + 10 * MS, "state": "ended", "status": "ok", "attributes": told,
    }  # fmt: skip
    return RawSpan(**{**known, **fields})


def write(
    writer: Writer,
    span: int,
    attributes: dict[str, Any],
    *,
    trace: int = 1,
    parent: int | None = None,
    scope: str = GENAI,
    at: tuple[int, int] = (0, 100),
    status: str = "ok",
) -> None:
    """A foreign span as start and end records; `at` in ms."""
    trace_id, span_id = ids(trace)[0], ids(span)[1]
    writer.start(
        trace_id, span_id, "" if parent is None else ids(parent)[1], kind="span", name=f"span {span}",
        at=T0 + at[0] * MS, attributes={**attributes, "spanreel.scope": {"name": scope, "version": "1"}},
    )  # fmt: skip
    writer.end(trace_id, span_id, at=T0 + at[1] * MS, status=status)
