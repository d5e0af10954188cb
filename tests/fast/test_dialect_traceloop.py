"""Traceloop's entities: what LlamaIndex's agents run, and models whose provider nobody tells."""

from __future__ import annotations

import json

from otlp_spans import read


def test_a_task_of_an_agent_that_runs_a_tool_is_the_tool() -> None:
    told = {
        "traceloop.span.kind": "task", "traceloop.entity.name": "BaseWorkflowAgent.task", "tool.name": "get_weather",
        "tool.arguments": '{"city": "Paris"}', "traceloop.entity.output": '{"tool_name": "get_weather", "tool_output": "18"}',
    }  # fmt: skip
    row = read(told)
    assert (row.kind, row.tool_name, json.loads(row.input or "")) == (
        "tool",
        "get_weather",
        {"city": "Paris"},
    )
    assert "18" in (row.output or "")
    del told["tool.arguments"]
    assert read(told).kind == "chain"


def test_the_maker_of_a_model_whose_provider_nobody_tells() -> None:
    told = {"traceloop.span.kind": "task", "gen_ai.operation.name": "embeddings"}
    assert read({**told, "gen_ai.request.model": "text-embedding-3-small"}).provider == "openai"
    assert read({**told, "gen_ai.request.model": "my-embedder"}).provider is None
    assert (
        read({**told, "gen_ai.request.model": "gpt-4o", "gen_ai.system": "azure"}).provider
        == "azure.ai.openai"
    )
