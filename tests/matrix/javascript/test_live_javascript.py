"""Applications in JavaScript, run for real: what their packages export over OTLP is imported and read."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from coverage_rows import NODE_MODULES
from openai_server import OpenAIServer
from otlp_live import exported
from wire_rows import rows, tokens

HERE = Path(__file__).parent
Run = Callable[..., Path]
pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="no Node.js here")


@pytest.fixture(scope="session")
def modules() -> Path:
    """The folder that holds node_modules; installed anew when package.json has changed."""
    folder, manifest = NODE_MODULES.parent, HERE / "package.json"
    stamp, state = folder / ".made", hashlib.sha256(manifest.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != state:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(manifest, folder)
        install = ["npm", "install", "--no-audit", "--no-fund", "--legacy-peer-deps", "--ignore-scripts"]
        subprocess.run(install, cwd=folder, check=True, capture_output=True, timeout=300)
        stamp.write_text(state)
    return folder


@pytest.fixture
def run(tmp_path: Path, modules: Path) -> Iterator[Run]:
    """Runs one of the programs and imports what it exported: the store."""
    openai = OpenAIServer()

    def ran(*program: str) -> Path:
        command = ["node", str(HERE / "programs.mjs"), *program]
        return exported(command, modules, tmp_path / "store", home=tmp_path, MODEL_URL=openai.url)

    yield ran
    openai.close()


def text(row: dict[str, Any], side: str) -> str:
    """The text of a body's last message."""
    return "".join(part.get("content", "") for part in json.loads(row[side])[-1]["parts"])


@pytest.mark.timeout(400)
@pytest.mark.covers("Vercel AI SDK spans", package=("npm:ai", "npm:@ai-sdk/otel"))
@pytest.mark.parametrize("integration", ["OpenTelemetry", "LegacyOpenTelemetry"])
def test_vercel(run: Run, integration: str) -> None:
    """Both integrations: steps with tools, a stream, a refusal, embeddings; tokens once, tool calls, time to first token."""
    store = run("vercel", integration)
    asked, answered, streamed, refused = rows(store, "llm")
    for row in (asked, answered, streamed):
        assert tokens(row)[:3] == (1200, 40, 1024)
        assert (row["provider"], row["response_model"]) == ("openai", "gpt-4o-mini-2024-07-18")
        assert row["cost_usd"] is not None
    assert (asked["finish_reason"], answered["finish_reason"]) == ("tool_call", "stop")
    assert [part["name"] for part in json.loads(asked["output"])[0]["parts"]] == ["lookup", "lookup"]
    assert text(streamed, "output") == "You said: Stream"
    assert streamed["ttft_ms"] is not None
    assert refused["status"] == "error"
    assert refused["input_tokens"] is None
    tools = rows(store, "tool")
    assert sorted(json.loads(tool["output"])["value"] for tool in tools) == ["alpha", "beta"]
    assert {tool["tool_name"] for tool in tools} == {"lookup"}
    (embedded,) = (row for row in rows(store, "embedding") if row["duplicate_of"] is None)
    assert embedded["input_tokens"]
    assert all(row["input_tokens"] is None for kind in ("agent", "chain") for row in rows(store, kind))


@pytest.mark.timeout(400)
@pytest.mark.covers("Mastra spans", package=("npm:@mastra/core", "npm:@mastra/otel-exporter"))
def test_mastra(run: Run) -> None:
    """An agent with a tool: two calls with tokens and cost, tool arguments and results, session, user and tags."""
    store = run("mastra")
    asked, answered = rows(store, "llm")
    for row in (asked, answered):
        assert tokens(row)[:3] == (1200, 40, 1024)
        assert row["reasoning_tokens"] == 16
        assert (row["provider"], row["response_model"]) == ("openai", "gpt-4o-mini-2024-07-18")
        assert row["cost_usd"] is not None
    assert asked["finish_reason"] == "tool_call"
    tools = rows(store, "tool")
    assert sorted(json.loads(tool["output"])["value"] for tool in tools) == ["alpha", "beta"]
    (agent,) = rows(store, "agent")
    assert (agent["session_id"], agent["user_id"], list(agent["tags"])) == ("thread-9", "user-4711", ["prod"])
    assert agent["input_tokens"] is None
