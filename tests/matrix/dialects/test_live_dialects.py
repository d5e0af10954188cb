"""Applications that other packages instrument, run for real: what they export over OTLP is imported and read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from anthropic_server import USAGE as CLAUDE_USAGE
from anthropic_server import AnthropicServer
from openai_server import OpenAIServer
from otlp_live import exported
from wire_rows import documents, rows, tokens

PROGRAMS = Path(__file__).parent / "programs.py"
Run = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs one of the programs and imports what it exported: the store."""
    openai = OpenAIServer()
    with AnthropicServer() as claude:

        def ran(*program: str) -> Path:
            command = [sys.executable, str(PROGRAMS), *program]
            places = {"MODEL_URL": openai.url, "CLAUDE_URL": claude.url}
            return exported(command, tmp_path, tmp_path / "store", home=tmp_path, **places)

        yield ran
    openai.close()


def spoken(row: dict[str, Any], side: str) -> list[Any]:
    """(role, text) of the messages of a body."""
    told = json.loads(row[side] or "[]")
    return [(one["role"], "".join(part.get("content", "") for part in one["parts"])) for one in told]


def the_chats(
    found: list[dict[str, Any]], *, response_model: bool = True, thought: Sequence[int | None] = (16,)
) -> None:
    """A plain chat, a streamed one and a refused one, as every package must tell of them.

    `thought`: what may stand as the streamed call's reasoning tokens.
    """
    assert len(found) == 3
    plain, streamed, refused = found
    assert tokens(plain) == (1200, 40, 1024, plain["cache_write_tokens"], 16)
    assert tokens(streamed)[:3] == (1200, 40, 1024)
    assert streamed["reasoning_tokens"] in thought
    for row in (plain, streamed):
        assert not row["cache_write_tokens"]
        assert row["cost_usd"] is not None
        assert spoken(row, "input") == [("system", "You are terse."), ("user", "Hello")]
        assert spoken(row, "output") == [("assistant", "You said: Hello")]
        if response_model:
            assert row["response_model"] == "gpt-4o-mini-2024-07-18"
    assert refused["status"] == "error"
    assert refused["input_tokens"] is None
    assert "429" in refused["error_message"]


def the_steps(store: Path) -> None:
    """The tool and the retrieval of the ticket's handler, and whose it was."""
    (tool,) = rows(store, "tool")
    assert tool["tool_name"] == "lookup"
    assert "alpha" in tool["input"]
    assert json.loads(tool["output"]) == {"value": "alpha"}
    (search,) = rows(store, "retrieval")
    assert "refund window?" in search["input"]
    assert [(rank, content) for rank, _, content, _ in documents(store)] == [
        (0, "Refunds within 30 days."),
        (1, "Shipping takes 3 days."),
    ]


@pytest.mark.covers("Pydantic AI spans", package="pydantic-ai-slim")
@pytest.mark.parametrize("version", ["2", "3", "4", "5", "6"])
def test_pydantic_ai(run: Run, version: str) -> None:
    """An agent with a tool, each version of the settings: kinds, tokens, reported cost, tool arguments and results."""
    store = run("pydantic_ai", version)
    asked, answered = rows(store, "llm")
    assert tokens(asked)[:3] == tokens(answered)[:3] == (1200, 40, 1024)
    assert (asked["finish_reason"], answered["finish_reason"]) == ("tool_call", "stop")
    assert asked["cost_source"] == "reported"
    tools = rows(store, "tool")
    assert sorted(json.loads(tool["input"])["key"] for tool in tools) == ["alpha", "beta"]
    assert sorted(json.loads(tool["output"]) for tool in tools) == ["value of alpha", "value of beta"]
    (agent,) = rows(store, "agent")
    assert (agent["input_tokens"], agent["cost_usd"]) == (None, None)
    assert spoken(agent, "output")[-1][0] == "assistant"


@pytest.mark.covers("Logfire spans", package="logfire")
def test_logfire(run: Run) -> None:
    """A chat, a stream (two spans, one call) and a refusal: tokens with cache and reasoning, cost, text, error."""
    store = run("logfire")
    the_chats(rows(store, "llm"))
    assert {row["provider"] for row in rows(store, "llm")} == {"openai"}


@pytest.mark.covers("Langfuse spans", package="langfuse")
def test_langfuse(run: Run) -> None:
    """Chats, a tool, a retrieval: tokens with cache and reasoning, documents, time to first token, session, user, tags."""
    store = run("langfuse")
    found = rows(store, "llm")
    the_chats(found, response_model=False)
    assert found[1]["ttft_ms"] is not None
    the_steps(store)
    assert (found[0]["session_id"], found[0]["user_id"], list(found[0]["tags"])) == (
        "sess-42",
        "user-4711",
        ["prod"],
    )


@pytest.mark.covers("LangSmith spans", package="langsmith")
def test_langsmith(run: Run) -> None:
    """Chats, a tool, a retrieval that calls itself embeddings: tokens, documents, session and user, the real error's type."""
    store = run("langsmith")
    found = rows(store, "llm")
    the_chats(found)
    assert found[2]["error_type"] == "RateLimitError"
    the_steps(store)
    assert (found[0]["session_id"], found[0]["user_id"]) == ("sess-42", "user-4711")
    assert rows(store, "embedding") == []


@pytest.mark.covers("MLflow spans", package="mlflow-tracing")
def test_mlflow(run: Run) -> None:
    """Chats, a tool, a retrieval: tokens with cache and reasoning, documents, time to first token, finish reasons."""
    store = run("mlflow")
    found = rows(store, "llm")
    the_chats(found)
    assert found[1]["ttft_ms"] is not None
    assert {row["provider"] for row in found} == {"openai"}
    the_steps(store)


@pytest.mark.covers("OpenLLMetry spans", package="opentelemetry-instrumentation-openai")
def test_openllmetry(run: Run) -> None:
    """A chat, a stream and a refusal: tokens with cache, time to first token by the first chunk's event, text, error."""
    found = rows(run("openllmetry"), "llm")
    the_chats(found, thought=(16, None))
    assert found[1]["ttft_ms"] is not None
    assert found[2]["error_type"] == "RateLimitError"


@pytest.mark.covers("Anthropic SDK's own spans", package="anthropic")
def test_anthropic(run: Run) -> None:
    """A message: tokens with cache reads and writes inside the input, finish reason, response id's model."""
    (found,) = rows(run("anthropic"), "llm")
    fresh, read, written = (
        CLAUDE_USAGE[f"{name}input_tokens"] for name in ("", "cache_read_", "cache_creation_")
    )
    assert tokens(found)[:4] == (fresh + read + written, CLAUDE_USAGE["output_tokens"], read, written)
    assert (found["provider"], found["finish_reason"]) == ("anthropic", "stop")
    assert found["response_model"] == "claude-sonnet-4-5-20250929"
