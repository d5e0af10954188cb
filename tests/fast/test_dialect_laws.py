"""Dialects are total, whatever arrives under their names, and what only differs in spelling reads the same."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from otlp_spans import read, samples, spans

from spanreel.analysis.dialects import normalise
from spanreel.analysis.dialects.foreign import OTLP, SCOPE

FOREIGN_SCOPES = (
    "ai", "gen_ai", "logfire", "logfire.openai", "logfire.anthropic", "pydantic-ai", "langfuse-sdk", "langsmith", "gcp.vertex.agent",
    "com.anthropic.sdk.python", "mlflow.tracing.provider", "opentelemetry.instrumentation.openai.v1", "@mastra/otel-exporter", "",
)  # fmt: skip
MORE_NAMES = (
    "langfuse.observation.metadata", "langfuse.trace.metadata", "langfuse.observation.prompt.name", "langsmith.run_type",
    "mlflow.llm.cost", "mlflow.llm.provider", "mlflow.trace.user", "ai.response.reasoning", "ai.documents", "ai.ranking", "ai.query",
    "haystack.component.type", "haystack.component.input", "haystack.component.output", "haystack.tool.name", "events",
    "all_messages_events", "response_data", "gen_ai.prompt.0.content", "gen_ai.completion.10.tool_calls.0.name", "llm.prompts.0.content",
    "db.system", "db.operation", "lmnr.span.type", "lmnr.span.input", "lk.response.ttft", "langwatch.input", "langwatch.metrics",
    "braintrust.metrics", "braintrust.span_attributes", "acme.model", "acme.usage", "acme.prompt", "acme.messages.0.content",
    "acme.documents", "acme.tool.name", "acme.tool.arguments", "tokens", "type", "input.value", "traceloop.prompt.key",
    "llm.token.counts", "spring.ai.tool.call.arguments", "traceloop.association.properties.session_id",
)  # fmt: skip
SEEN = sorted(
    {key for name in samples() for span in spans(name) for key in span.attributes} | set(MORE_NAMES)
)
EVENT_NAMES = (
    "exception", "db.query.result", "db.search.result", "gen_ai.content.completion.chunk", "ai.stream.firstChunk", "mlflow.chunk.item.0",
)  # fmt: skip
WORDS = ("", "llm", "tool", "RETRIEVER", "{", '"', "[[", '{"a": [', "null", '"x"', "{'a': 1}", "2026-11-24T16:22:33Z", "stop", "chat",
         "ai.generateText.doGenerate", "chroma", "query", '{"messages": [{"role": "user"}]}', '[{"type": "text"}]', '{"usage": {}}')  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=6) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ("role", "content", "parts", "type", "text", "usage", "output", "input", "messages", "args", "kwargs", "lc", "id", "choices",
         "input_tokens", "prompt_tokens", "cache_read_input_tokens", "metadata", "documents", "meta", "replies", "model", "query")
    ), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(SEEN), values, max_size=8),
    st.sampled_from(FOREIGN_SCOPES),
    st.sampled_from(("ok", "error", "unset")),
    st.sampled_from(("s", "agent run", "ai.toolCall", "call_llm", "execute_tool x", "running tool", "claude_code.llm_request")),
    st.lists(
        st.fixed_dictionaries(
            {"name": st.sampled_from(EVENT_NAMES), "time_ns": st.none() | st.integers(0, 3_000), "attributes": st.dictionaries(
                st.sampled_from(("exception.type", "exception.message", "db.query.result.id", "db.query.result.distance",
                                 "db.query.result.metadata", "db.search.result.entity")), values, max_size=3)}
        ),
        max_size=2,
    ),
)  # fmt: skip
def test_nothing_makes_a_dialect_fail(
    attributes: dict[str, Any], scope: str, status: str, name: str, events: list[dict[str, Any]]
) -> None:
    """Not only does nothing raise: no dialect gives up either, and every text column that is JSON is JSON."""
    row = read(attributes, scope=scope, events=events, status=status, name=name)
    for told in (row.attributes, row.input, row.output, row.metadata):
        if told is not None:
            json.loads(told)
    for count in (
        row.input_tokens,
        row.output_tokens,
        row.cache_read_tokens,
        row.cache_write_tokens,
        row.reasoning_tokens,
    ):
        assert count is None or 0 <= count < 2**33
    assert [document.rank for document in row.documents] == list(range(len(row.documents)))


@given(st.sampled_from(samples()), st.data())
def test_attributes_that_were_cut_off_do_not_make_it_fail(name: str, data: st.DataObject) -> None:
    """Exporters cut long values (OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT) and drop attributes beyond a number."""
    for found in spans(name):
        kept = data.draw(st.sets(st.sampled_from(sorted(found.attributes)), min_size=1))
        length = data.draw(st.integers(1, 60))
        found.attributes = {
            key: value[:length] if isinstance(value, str) else value
            for key, value in found.attributes.items()
            if key in kept or key in {SCOPE, OTLP}
        }
        lost: list[str] = []
        orjson.loads(normalise(found, lose=lost.append).attributes)
        assert lost == []


@pytest.mark.parametrize("name", samples())
def test_structures_and_their_json_text_read_the_same(name: str) -> None:
    """OTLP lets a value be a list or a map where the packages write JSON text."""
    for found in spans(name):
        text = normalise(found)
        meant = {}
        for key, value in found.attributes.items():
            spelled = _structure(value) if isinstance(value, str) else value
            meant[key] = spelled
        found.attributes = meant
        row = normalise(found)
        for column in ("kind", "provider", "request_model", "response_model", "input_tokens", "output_tokens", "cache_read_tokens",
                       "finish_reason", "output", "cost_usd", "session_id", "user_id", "documents"):  # fmt: skip
            assert getattr(row, column) == getattr(text, column), column


def _structure(value: str) -> Any:
    try:
        found = json.loads(value)
    except ValueError:
        return value
    return found if isinstance(found, (dict, list)) else value
