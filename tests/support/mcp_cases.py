"""What holds for every version of the MCP SDK: sessions with real servers, over every transport."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp.types as types
import mcp_server
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client import streamable_http
from mcp.client.stdio import stdio_client
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from recording import Recording, Seen

import spanreel
from spanreel import instruments

SUPPORT = Path(__file__).parent
TWO = hasattr(types, "DiscoverResult") or "is_error" in types.CallToolResult.model_fields
THEIRS = {f"{side}{name}" for side in ("", "MCP send ") for name in ("initialize", "tools/call count")} | {
    "notifications/initialized", "tools/list", "MCP send tools/list",
}  # fmt: skip
"""What 2.x tells an OpenTelemetry provider by itself."""


@pytest.fixture(autouse=True)
def hooks() -> None:
    instruments.install(["mcp"])


@asynccontextmanager
async def _session(streams: Any, **options: Any) -> AsyncIterator[ClientSession]:
    async with streams as (read, write, *_), ClientSession(read, write, **options) as session:
        await session.initialize()
        yield session


def _stdio(recording: Recording) -> Any:
    environment = {
        "SPANREEL_STORE": str(recording.store),
        "SPANREEL_KEEPER": "off",
        "PYTHONPATH": str(SUPPORT),
    }
    server = StdioServerParameters(
        command=sys.executable, args=[str(SUPPORT / "mcp_server.py")], env=environment
    )
    return stdio_client(server)


def _http(url: str) -> Any:
    connect: Any = (
        getattr(streamable_http, "streamable_http_client", None) or streamable_http.streamablehttp_client  # type: ignore[attr-defined]
    )
    return connect(url)


def _run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


def _pair(recording: Recording, name: str) -> tuple[Seen, Seen]:
    """The two spans of one request: the one that sent it, and the one below that answered it."""
    found = [span for span in recording.spans() if span.name == name]
    assert len(found) == 2, [(s.name, s.kind, s.trace[:4], s.parent[:4]) for s in recording.spans()]
    sent, answered = sorted(found, key=lambda span: span.start_ns)
    assert (answered.parent, answered.trace) == (sent.span, sent.trace)
    return sent, answered


def test_a_server_process_over_stdio_is_in_the_clients_trace(recording: Recording) -> None:
    """stdio: the server process's spans are below the client's tool span, in one trace, over a pipe."""

    async def work() -> None:
        async with _session(_stdio(recording)) as session:
            with spanreel.span("root"):
                answer = await session.call_tool("count", {"text": "banana", "letter": "a"})
                assert answer.content[0].text == "3"  # type: ignore[union-attr]

    _run(work)
    root = recording.one("root")
    sent, answered = _pair(recording, "tools/call count")
    tool = recording.one("count")
    assert (sent.kind, answered.kind, tool.kind) == ("tool", "span", "tool")
    assert (sent.parent, tool.parent, tool.trace) == (root.span, answered.span, root.trace)
    assert sent.input == {"text": "banana", "letter": "a"}
    assert sent.output["content"][0]["text"] == "3"
    assert sent.attributes["network.transport"] == "pipe"
    for span in (sent, answered):
        assert span.attributes["mcp.method.name"] == "tools/call"
        assert span.attributes["gen_ai.operation.name"] == "execute_tool"
        assert span.attributes["gen_ai.tool.name"] == "count"
        assert span.attributes["mcp.protocol.version"].startswith("20")
    assert sent.attributes["jsonrpc.request.id"] == answered.attributes["jsonrpc.request.id"]
    assert len(recording.processes()) == 2
    assert recording.losses() == {}


def test_streamable_http_tells_its_session(recording: Recording) -> None:
    """Streamable HTTP: one trace over a real socket, `mcp.session.id` of both sides the same, over tcp."""

    async def work(url: str) -> None:
        async with _session(_http(url)) as session:
            with spanreel.span("root"):
                await session.call_tool("count", {"text": "banana", "letter": "n"})

    with mcp_server.over_http() as url:
        _run(lambda: work(url))
    sent, answered = _pair(recording, "tools/call count")
    assert recording.one("count").parent == answered.span
    assert (sent.attributes["network.transport"], answered.attributes["network.transport"]) == ("tcp", "tcp")
    assert sent.attributes["mcp.session.id"] == answered.attributes["mcp.session.id"]
    assert {span.trace for span in recording.spans()} == {sent.trace}


def test_other_methods_are_plain_spans(recording: Recording) -> None:
    """initialize, tools/list, prompts/get and resources/read are plain spans with what they ask for."""

    async def work() -> None:
        with spanreel.span("root"):
            async with _session(mcp_server.in_memory()) as session:
                await session.list_tools()
                await session.get_prompt("greet", {"name": "Ada"})
                await session.read_resource("letters://all")  # type: ignore[arg-type,unused-ignore]

    _run(work)
    names = [span.name for span in recording.spans() if span.parent == recording.one("root").span]
    assert names == ["initialize", "tools/list", "prompts/get greet", "resources/read"]
    assert {span.kind for span in recording.spans()} == {"span"}
    sent, answered = _pair(recording, "prompts/get greet")
    assert sent.input == {"name": "greet", "arguments": {"name": "Ada"}}
    assert answered.attributes["gen_ai.prompt.name"] == "greet"
    assert "Hello Ada" in str(sent.output)
    sent, _ = _pair(recording, "resources/read")
    assert sent.attributes["mcp.resource.uri"] == "letters://all"
    assert "network.transport" not in sent.attributes


def test_a_tool_that_says_it_failed(recording: Recording) -> None:
    """isError is the status error with `error.type` tool_error on both sides; the caller gets its result."""

    async def work() -> None:
        async with _session(mcp_server.in_memory()) as session:
            with spanreel.span("root"):
                answer: Any = await session.call_tool("fail", {"reason": "no luck"})
                assert answer.is_error if TWO else answer.isError

    _run(work)
    for span in _pair(recording, "tools/call fail"):
        assert (span.status, span.error) == ("error", {"type": "tool_error", "message": "no luck"})
        assert span.attributes["error.type"] == "tool_error"


def test_an_error_of_the_protocol_has_its_code(recording: Recording) -> None:
    """An answer with a JSON-RPC error is raised as before; its code is on the span that got it."""

    async def work() -> None:
        async with _session(mcp_server.in_memory()) as session:
            with spanreel.span("root"), pytest.raises(Exception, match="nkown|nknown|not found"):
                await session.get_prompt("nobody")

    _run(work)
    sent, answered = _pair(recording, "prompts/get nobody")
    assert (sent.status, answered.status) == ("error", "error")
    assert sent.attributes["rpc.response.status_code"] == sent.attributes["error.type"] == "0"
    assert answered.error
    assert "nobody" in answered.error["message"]


def test_parallel_calls_do_not_mix(recording: Recording) -> None:
    """Ten calls at once over one session: each answer is below its own question, ids and arguments match."""

    async def work() -> None:
        async with _session(mcp_server.in_memory()) as session:
            with spanreel.span("root"):
                await asyncio.gather(
                    *(session.call_tool("count", {"text": "a" * n, "letter": "a"}) for n in range(10))
                )

    _run(work)
    spans = recording.spans()
    sent = {span.span: span for span in spans if span.name == "tools/call count" and span.kind == "tool"}
    answered = [span for span in spans if span.name == "tools/call count" and span.kind == "span"]
    assert (len(sent), len(answered)) == (10, 10)
    assert {span.input["text"] for span in sent.values()} == {"a" * n for n in range(10)}
    for span in answered:
        assert span.input == sent[span.parent].input
        assert span.attributes["jsonrpc.request.id"] == sent[span.parent].attributes["jsonrpc.request.id"]


def test_a_cancelled_call_is_abandoned(recording: Recording) -> None:
    """A call whose task is cancelled ends as abandoned where it was sent, and raises as before."""

    async def work() -> None:
        async with _session(mcp_server.in_memory()) as session:
            with spanreel.span("root"):
                task = asyncio.ensure_future(session.call_tool("wait", {"name": "x"}))
                while not any(span.name == "waiting x" for span in recording.spans()):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    _run(work)
    sent, answered = _pair(recording, "tools/call wait")
    assert (sent.attributes["spanreel.state"], sent.status) == ("abandoned", "unset")
    assert answered.ends == 1
    assert answered.attributes["spanreel.state"] == "abandoned"


def test_no_second_tool_span_below_the_tools_own(recording: Recording) -> None:
    """Below a tool span of the same tool none is opened: it gains what MCP tells, and the server is below it."""

    @spanreel.trace(kind="tool", name="count")
    async def count(session: ClientSession) -> None:
        await session.call_tool("count", {"text": "banana", "letter": "b"})

    async def work() -> None:
        async with _session(mcp_server.in_memory()) as session:
            await count(session)

    _run(work)
    outer = next(span for span in recording.spans() if not span.parent)
    (answered,) = (span for span in recording.spans() if span.name == "tools/call count")
    assert (outer.name, outer.attributes["mcp.method.name"]) == ("count", "tools/call")
    assert (answered.parent, answered.kind) == (outer.span, "span")


@pytest.mark.filterwarnings("ignore:The sampling capability is deprecated")
def test_what_a_server_asks_of_its_client(recording: Recording) -> None:
    """Sampling: the server's request and what the client does for it are in the trace of the tool's call."""

    async def answer(_context: Any, _params: Any) -> Any:
        with spanreel.span("model"):
            fields = {"stop_reason" if TWO else "stopReason": "endTurn"}
            content = types.TextContent(type="text", text="42")
            return types.CreateMessageResult(role="assistant", content=content, model="m", **fields)  # type: ignore[arg-type]

    async def work() -> None:
        async with _session(mcp_server.in_memory(), sampling_callback=answer) as session:
            with spanreel.span("root"):
                found = await session.call_tool("ask", {"question": "why?"})
                assert found.content[0].text == "42"  # type: ignore[union-attr]

    _run(work)
    asked = [span for span in recording.spans() if span.name == "sampling/createMessage"]
    assert asked[0].parent == _pair(recording, "tools/call ask")[1].span
    assert recording.one("model").parent == _pair(recording, "sampling/createMessage")[1].span
    assert "why?" in str(asked[0].input)


def test_beside_another_provider(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a provider of the program's own its spans stay as they are, and ours still find each other."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(otel, "_TRACER_PROVIDER", provider)
    theirs = sys.modules.get("mcp.shared._otel")  # the SDK's own spans, from 2.0 on
    if theirs is not None:
        monkeypatch.setattr(theirs, "_tracer", provider.get_tracer("mcp-python-sdk"))

    async def work() -> None:
        async with _session(mcp_server.in_memory()) as session:
            with spanreel.span("root"):
                await session.call_tool("count", {"text": "banana", "letter": "a"})

    _run(work)
    sent, answered = _pair(recording, "tools/call count")
    assert (sent.parent, answered.flags) == (recording.one("root").span, "")
    names = [span.name for span in kept.get_finished_spans()]
    assert set(names) == (THEIRS if TWO else set())


def test_outside_of_every_trace_nothing_is_recorded(recording: Recording) -> None:
    """Without a trace there are no spans and nothing is put into `_meta`."""

    async def work() -> None:
        async with _session(mcp_server.in_memory()) as session:
            await session.list_tools()

    _run(work)
    assert recording.spans() == []
