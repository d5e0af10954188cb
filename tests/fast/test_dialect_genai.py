"""OpenTelemetry's GenAI conventions in every version: names, content on spans, events and log records, MCP, memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from otlp_spans import read

CHAT = {"gen_ai.operation.name": "chat"}


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("chat", "llm"), ("generate_content", "llm"), ("text_completion", "llm"), ("embeddings", "embedding"),
        ("retrieval", "retrieval"), ("execute_tool", "tool"), ("invoke_agent", "agent"), ("create_agent", "agent"),
        ("invoke_workflow", "chain"), ("plan", "chain"), ("search_memory", "memory"), ("upsert_memory", "memory"),
        ("fetch_response", "span"), ("something new", "span"),
    ],
)  # fmt: skip
def test_operations_are_kinds(operation: str, kind: str) -> None:
    assert read({"gen_ai.operation.name": operation}).kind == kind


@pytest.mark.parametrize(
    "names",
    [
        ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.reasoning.output_tokens"),
        ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.reasoning_tokens"),
        ("gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.reasoning_tokens"),
        ("gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cache_write_tokens", "gen_ai.usage.details.reasoning_tokens"),
    ],
)  # fmt: skip
def test_counts_under_every_name(names: tuple[str, str, str]) -> None:
    row = read(
        {
            **CHAT,
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 50,
            **dict(zip(names, (30, 20, 40), strict=True)),
        }
    )
    assert (row.input_tokens, row.output_tokens) == (100, 50)
    assert (row.cache_read_tokens, row.cache_write_tokens, row.reasoning_tokens) == (30, 20, 40)


def test_deprecated_names() -> None:
    row = read(
        {
            "gen_ai.system": "openai",
            "gen_ai.request.model": "m",
            "gen_ai.usage.prompt_tokens": "5",
            "gen_ai.usage.completion_tokens": 9,
        }
    )
    assert (row.kind, row.provider, row.input_tokens, row.output_tokens) == ("llm", "openai", 5, 9)


MESSAGES = [
    {"role": "developer", "parts": [{"type": "text", "content": "Be brief."}], "name": None},
    {"role": "user", "parts": [{"type": "tool_call_response", "id": "c", "result": {"t": 18}}]},
]  # fmt: skip


@pytest.mark.parametrize(
    "spelled", [MESSAGES, json.dumps(MESSAGES), repr(MESSAGES)], ids=["kvlist", "json", "repr"]
)
def test_messages_in_every_spelling(spelled: Any) -> None:
    row = read(
        {
            **CHAT,
            "gen_ai.input.messages": spelled,
            "gen_ai.output.messages": '[{"role": "model", "parts": [{"type": "text", "content": "Ja"}], "finish_reason": "STOP"}]',
        }
    )
    assert json.loads(row.input or "") == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "tool_call_response", "id": "c", "response": {"t": 18}}]},
    ]  # fmt: skip
    assert json.loads(row.output or "")[0]["role"] == "assistant"
    assert row.finish_reason == "stop"


def test_json_that_was_cut_off_stays_text() -> None:
    row = read({**CHAT, "gen_ai.input.messages": json.dumps(MESSAGES)[:40]})
    assert json.loads(row.input or "")[0]["parts"][0]["content"].startswith('[{"role"')


@pytest.mark.parametrize(
    ("word", "want"),
    [("tool_calls", "tool_call"), ("tool-calls", "tool_call"), ("tool_use", "tool_call"), ("STOP", "stop"), ("end_turn", "stop"),
     ("FinishReason.MAX_TOKENS", "length"), ("content-filter", "content_filter"), ("error", "error"), ("new one", "new one")],
)  # fmt: skip
def test_finish_reasons(word: str, want: str) -> None:
    assert read({**CHAT, "gen_ai.response.finish_reasons": [word]}).finish_reason == want
    assert read({**CHAT, "gen_ai.response.finish_reasons": json.dumps([word])}).finish_reason == want


@pytest.mark.parametrize(
    "event",
    [
        {"name": "gen_ai.content.prompt", "attributes": {"gen_ai.prompt": '[{"role": "user", "content": "Hi"}]'}},
        {"name": "gen_ai.user.message", "attributes": {"content": "Hi"}},
        {"name": "gen_ai.user.message", "attributes": {"gen_ai.event.content": '{"content": "Hi"}'}},
    ],
)  # fmt: skip
def test_content_in_span_events(event: dict[str, Any]) -> None:
    row = read(CHAT, events=[{**event, "time_ns": 1}])
    assert json.loads(row.input or "") == [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]


def test_prompt_and_completion_without_an_index() -> None:
    row = read({**CHAT, "gen_ai.prompt": '[{"role": "user", "content": "Hi"}]', "gen_ai.completion": "Ho"})
    assert "Hi" in (row.input or "")
    assert json.loads(row.output or "") == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Ho"}]}
    ]


def test_tools_retrievals_and_memory() -> None:
    tool = read({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "f", "gen_ai.tool.call.arguments": '{"a": 1}',
                 "gen_ai.tool.call.result": "18 degrees"})  # fmt: skip
    assert (tool.tool_name, tool.input, tool.output) == ("f", '{"a":1}', '"18 degrees"')
    found = read({"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.query.text": "q",
                  "gen_ai.retrieval.documents": '[{"id": "d1", "score": null}, {"id": "d2", "title": "T", "score": 0.5}]'})  # fmt: skip
    assert [(doc.id, doc.score, doc.metadata) for doc in found.documents] == [
        ("d1", None, None),
        ("d2", 0.5, '{"title":"T"}'),
    ]
    kept = read(
        {
            "gen_ai.operation.name": "search_memory",
            "gen_ai.memory.query.text": "name?",
            "gen_ai.memory.records": '["Ada"]',
        }
    )
    assert (kept.kind, kept.input, kept.output) == ("memory", '"name?"', '["Ada"]')


def test_mcp() -> None:
    row = read(
        {
            "mcp.method.name": "tools/call",
            "gen_ai.tool.name": "f",
            "gen_ai.tool.call.arguments": '{"a": 1}',
            "error.type": "tool_error",
        },
        status="error",
    )
    assert (row.kind, row.tool_name, row.input, row.error_type) == ("tool", "f", '{"a":1}', "tool_error")
    assert read({"mcp.method.name": "initialize"}).kind == "span"


def test_first_chunk_is_in_seconds_and_only_of_streams() -> None:
    assert read({**CHAT, "gen_ai.response.time_to_first_chunk": 0.25}).ttft_ms == 250.0
    assert (
        read({**CHAT, "gen_ai.request.stream": False, "gen_ai.server.time_to_first_token": 0.25}).ttft_ms
        is None
    )


def test_a_cost_of_nothing_is_no_cost() -> None:
    """OpenLIT writes 0 where its price list could not be loaded."""
    assert read({**CHAT, "gen_ai.usage.cost": 0, "gen_ai.usage.input_tokens": 5}).cost_usd is None
    assert read({**CHAT, "gen_ai.usage.cost": 0.5}).cost_source == "reported"


def test_totals_of_agents_stay_in_their_attributes() -> None:
    row = read(
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.usage.input_tokens": 49,
            "gen_ai.usage.output_tokens": 31,
        }
    )
    assert (row.kind, row.input_tokens, row.output_tokens) == ("agent", None, None)
    assert json.loads(row.attributes)["gen_ai.usage.input_tokens"] == 49


@pytest.mark.parametrize(
    ("word", "want"),
    [("gemini", "gcp.gemini"), ("openai.chat", "openai"), ("mistralai", "mistral_ai"), ("aws.bedrock", "aws.bedrock"),
     ("az.ai.openai", "azure.ai.openai"), ("langchain", None), ("xai", "x_ai"), ("OpenAI", "openai")],
)  # fmt: skip
def test_names_of_providers(word: str, want: str | None) -> None:
    assert read({**CHAT, "gen_ai.provider.name": word}).provider == want
