"""`SpanreelMiddleware` around FastAPI and Starlette, over real sockets under uvicorn."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import openai
import pytest
from fastapi import BackgroundTasks, FastAPI, Request
from openai_server import OpenAIServer
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from recording import Recording, Seen
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from web_server import uvicorn_serving

import spanreel
from spanreel.guard import guard

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.covers("SpanreelMiddleware (ASGI)", package=("fastapi", "starlette", "uvicorn")),
]
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def provider() -> Iterator[OpenAIServer]:
    server = OpenAIServer()
    yield server
    server.close()


@spanreel.trace(name="leaf")
def leaf(who: str) -> str:
    return who


def _client(url: str, **options: Any) -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, timeout=20, **options)


def _input(seen: Seen) -> Any:
    return seen.attributes.get("spanreel.input")


def _roots(recording: Recording) -> list[Seen]:
    known = {span.span for span in recording.spans()}
    return [span for span in recording.spans() if span.parent not in known]


def test_sse_with_the_openai_client_is_one_trace(recording: Recording, provider: OpenAIServer) -> None:
    """An SSE endpoint that streams from the openai client, under uvicorn over a real socket: one trace, the text that was sent, open until the last byte, llm span below it."""
    app = FastAPI()
    gate = threading.Event()

    async def events(question: str) -> AsyncIterator[str]:
        async with openai.AsyncOpenAI(api_key="k", base_url=provider.url, max_retries=0) as client:
            stream = await client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": question}], stream=True
            )
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    yield f"data: {chunk.choices[0].delta.content}\n\n"
        await asyncio.to_thread(gate.wait)
        yield "data: [END]\n\n"

    @app.post("/chat/{room}")
    async def chat(room: str, request: Request) -> StreamingResponse:
        body = await request.json()
        return StreamingResponse(events(body["question"]), media_type="text/event-stream")

    app.add_middleware(
        SpanreelMiddleware, session=lambda scope: dict(scope["headers"])[b"x-session"].decode()
    )
    with (
        uvicorn_serving(app) as url,
        _client(url, headers={"x-session": "s-7"}) as client,
        client.stream("POST", "/chat/blue", json={"question": "What is up?"}) as response,
    ):
        pieces = response.iter_text()
        text = next(pieces)
        running = [span for span in recording.spans() if span.name.startswith("POST")]
        assert [span.ended for span in running] == [False]
        gate.set()
        text += "".join(pieces)
    assert "data: [END]" in text
    seen = recording.one("POST /chat/blue")
    assert (seen.status, seen.output, _input(seen)) == ("ok", text, {"question": "What is up?"})
    assert seen.attributes["spanreel.name"] == "POST /chat/{room}"
    assert seen.attributes["http.route"] == "/chat/{room}"
    assert seen.attributes["http.response.status_code"] == 200
    assert seen.attributes["http.response.body.size"] == len(text.encode())
    assert seen.first_ns is not None
    assert seen.start_ns < seen.first_ns < seen.end_ns
    llm = next(span for span in recording.spans() if span.kind == "llm")
    assert (llm.parent, llm.trace) == (seen.span, seen.trace)
    assert seen.start_ns <= llm.start_ns <= llm.end_ns <= seen.end_ns
    assert {span.attributes["session.id"] for span in (seen, llm)} == {"s-7"}
    assert _roots(recording) == [seen]


def test_requests_at_the_same_time_are_apart(recording: Recording) -> None:
    """Concurrent requests, async and in the thread pool: one trace each, nothing mixed, session and user of its own on every span."""
    app = FastAPI()
    together = asyncio.Barrier(8)

    @app.get("/async/{who}")
    async def asynchronous(who: str) -> str:
        await together.wait()
        return leaf(who)

    @app.get("/sync/{who}")
    def synchronous(who: str) -> str:
        return leaf(who)

    def last(scope: Any) -> str:
        return str(scope["path"].rpartition("/")[2])

    app.add_middleware(SpanreelMiddleware, session=last, user=lambda scope: f"u-{last(scope)}")

    async def drive(url: str) -> list[str]:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            answers = await asyncio.gather(
                *(client.get(f"/{kind}/{kind}{n}") for kind in ("async", "sync") for n in range(8))
            )
        return [answer.json() for answer in answers]

    with uvicorn_serving(app) as url:
        assert asyncio.run(drive(url)) == [f"{kind}{n}" for kind in ("async", "sync") for n in range(8)]
    requests = {span.span: span for span in recording.spans() if span.name.startswith("GET")}
    leaves = [span for span in recording.spans() if span.name == "leaf"]
    assert len({span.trace for span in requests.values()}) == len(requests) == len(leaves) == 16
    for span in leaves:
        above = requests[span.parent]
        who = span.output
        assert (above.attributes["url.path"].rpartition("/")[2], json.loads(above.output)) == (who, who)
        assert [s.attributes["session.id"] for s in (span, above)] == [who, who]
        assert [s.attributes["user.id"] for s in (span, above)] == [f"u-{who}"] * 2


def test_a_client_that_leaves(recording: Recording) -> None:
    """A client that disconnects in the middle of a stream: the span ends then, abandoned, with the text that was sent."""
    stopped = threading.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            for n in range(100_000):
                yield b"tick "
                await asyncio.sleep(0.002 if n else 0)
        finally:
            stopped.set()

    app = Starlette(
        routes=[Route("/", lambda request: StreamingResponse(endless(), media_type="text/plain"))]
    )
    with uvicorn_serving(SpanreelMiddleware(app)) as url, _client(url) as client:
        with client.stream("GET", "/") as response:
            next(response.iter_text())
        assert stopped.wait(20)
    seen = recording.one("GET /")
    assert seen.attributes["spanreel.state"] == "abandoned"
    assert (seen.status, seen.error) == ("unset", None)
    assert seen.output.startswith("tick ")


def test_errors(recording: Recording) -> None:
    """An exception, a 500 and a 404: the error is recorded and passes on, a client's mistake is none of the server's."""
    app = FastAPI()

    @app.get("/raise")
    async def broken() -> None:
        raise LookupError("no such thing")

    @app.get("/five")
    async def five() -> JSONResponse:
        return JSONResponse({"detail": "busy"}, status_code=503)

    app.add_middleware(SpanreelMiddleware)
    with uvicorn_serving(app) as url, _client(url) as client:
        assert [client.get(path).status_code for path in ("/raise", "/five", "/none")] == [500, 503, 404]
    broken_span, five_span, none = (recording.one(f"GET /{name}") for name in ("raise", "five", "none"))
    assert broken_span.error is not None
    assert (broken_span.status, broken_span.error["type"]) == ("error", "LookupError")
    assert five_span.error == {"type": "503", "message": "Service Unavailable"}
    assert (five_span.status, five_span.output) == ("error", '{"detail":"busy"}')
    assert (none.status, none.attributes["http.response.status_code"]) == ("ok", 404)


def test_the_trace_of_the_caller_goes_on(recording: Recording) -> None:
    """A traceparent of another system becomes the foreign parent; one that our own inject() wrote, the parent itself; a wrong one is left aside; unsampled by others still records."""
    app = FastAPI()
    app.add_middleware(SpanreelMiddleware)
    app.get("/{n}")(lambda n: leaf(n))
    with uvicorn_serving(app) as url, _client(url) as client:
        client.get("/foreign", headers={"traceparent": TRACEPARENT, "tracestate": "other=1"})
        client.get("/unsampled", headers={"traceparent": TRACEPARENT[:-2] + "00"})
        client.get("/wrong", headers={"traceparent": "00-xyz"})
        client.get("/twice", headers=[("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)])
        with spanreel.span("caller") as caller:
            headers = {"tracestate": "other=1"}
            spanreel.propagation.inject(headers)
            client.get("/ours", headers=headers)
        moved = {**headers, "tracestate": headers["tracestate"].replace("spanreel=", "spanreel=0")}
        client.get("/elsewhere", headers=moved)
    assert headers["tracestate"].endswith(",other=1")
    seen = {
        name: recording.one(f"GET /{name}")
        for name in ("foreign", "unsampled", "wrong", "twice", "ours", "elsewhere")
    }
    for name in ("foreign", "unsampled"):
        assert (seen[name].trace, seen[name].parent, seen[name].flags) == (
            TRACEPARENT[3:35],
            TRACEPARENT[36:52],
            "f",
        )
    for name in ("wrong", "twice"):
        assert (seen[name].parent, seen[name].flags) == ("", "")
        assert seen[name].trace != TRACEPARENT[3:35]
    assert (seen["ours"].trace, seen["ours"].parent, seen["ours"].flags) == (
        caller.trace_id,
        caller.span_id,
        "",
    )
    assert (seen["elsewhere"].parent, seen["elsewhere"].flags) == (caller.span_id, "f")
    for span in seen.values():
        assert [
            leaf.parent
            for leaf in recording.spans()
            if leaf.trace == span.trace and leaf.name == "leaf" and leaf.parent == span.span
        ] == [span.span]


def test_what_is_sampled_out_stays_so_below(recording: Recording) -> None:
    """Below a caller that sampled its trace out nothing is recorded, and what calls on says so."""
    app = FastAPI()
    app.add_middleware(SpanreelMiddleware)
    passed: list[dict[str, str]] = []

    @app.get("/")
    async def home() -> str:
        onward: dict[str, str] = {}
        spanreel.propagation.inject(onward)
        passed.append(onward)
        return leaf("x")

    recording.configure(sample_rate=0.0001)
    headers: dict[str, str] = {}
    while not headers.get("traceparent", "").endswith("-00"):  # one in ten thousand is drawn
        with spanreel.span("caller"):
            spanreel.propagation.inject(headers)
    recording.configure(sample_rate=1.0)
    with uvicorn_serving(app) as url, _client(url) as client:
        assert client.get("/", headers=headers).json() == "x"
    assert [span.name for span in recording.spans() if span.name != "caller"] == []
    assert passed[0]["traceparent"].endswith("-00")


def test_messages_are_what_they_were(recording: Recording) -> None:
    """Headers, bodies, compressed and chunked answers, HEAD, lifespan and websockets reach the client as without us; a compressed text is recorded readable."""
    started: list[str] = []

    async def lines() -> AsyncIterator[str]:
        for n in range(5):
            yield f"line {n} " + "x" * 300 + "\n"

    async def socket(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text(leaf(await websocket.receive_text()))
        await websocket.close()

    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse((await request.body()).decode(), headers={"x-own": "1"})

    def build(traced: bool) -> Any:
        class Lifespan:
            async def __aenter__(self) -> None:
                started.append("up")

            async def __aexit__(self, *details: object) -> None:
                started.append("down")

        app = Starlette(
            routes=[
                Route("/lines", lambda request: StreamingResponse(lines(), media_type="text/plain")),
                Route("/echo", echo, methods=["POST"]),
                Route("/picture", lambda request: PlainTextResponse(b"\x89PNG", media_type="image/png")),
                Mount(
                    "/inner", routes=[Route("/{n:int}", lambda request: JSONResponse(request.path_params))]
                ),
                WebSocketRoute("/socket", socket),
            ],
            lifespan=lambda app: Lifespan(),
            middleware=[Middleware(GZipMiddleware)],
        )
        return SpanreelMiddleware(SpanreelMiddleware(app)) if traced else app

    def drive(app: Any) -> list[Any]:
        with uvicorn_serving(app, lifespan="on", date_header=False) as url, _client(url) as client:
            answers = [client.get("/lines"), client.post("/echo", content=b"hi " * 200), client.get("/picture"), client.get("/inner/3?a=1&a=2&b=x"), client.head("/lines"), client.get("/none")]  # fmt: skip
            found: list[Any] = [(a.status_code, sorted(a.headers.raw), a.content) for a in answers]
            found.append(asyncio.run(_socket(url)))
        return found

    plain = drive(build(traced=False))
    assert recording.one("leaf").ended  # decorated: recorded without the middleware
    assert drive(build(traced=True)) == plain
    assert started == ["up", "down"] * 2
    spans = [span for span in recording.spans() if span.name.startswith(("GET", "POST", "HEAD"))]
    assert len(spans) == 6
    by_name = {span.name: span for span in spans}
    assert by_name["GET /lines"].output.startswith("line 0 xxx")
    assert by_name["GET /lines"].output.endswith("\n")
    assert by_name["GET /picture"].output is None
    assert by_name["GET /picture"].attributes["http.response.body.size"] == 4
    assert _input(by_name["GET /inner/3"]) == {"a": ["1", "2"], "b": "x"}
    assert by_name["GET /inner/3"].attributes["http.route"] == "/inner/{n}"
    assert by_name["HEAD /lines"].status == "ok"


async def _socket(url: str) -> str:
    import websockets

    async with websockets.connect(url.replace("http", "ws") + "/socket") as socket:
        await socket.send("hello")
        return str(await socket.recv())


def test_background_tasks_come_after(recording: Recording) -> None:
    """The span ends with the last byte sent, not with the background tasks that run after it; these are below it all the same."""
    app = FastAPI()
    answered = threading.Event()

    async def later() -> None:
        await asyncio.to_thread(answered.wait)
        leaf("later")

    @app.get("/")
    async def home(tasks: BackgroundTasks) -> str:
        tasks.add_task(later)
        return "now"

    app.add_middleware(SpanreelMiddleware)
    with uvicorn_serving(app) as url, _client(url) as client:
        assert client.get("/").json() == "now"
        answered.set()
    seen, after = recording.one("GET /"), recording.one("leaf")
    assert after.parent == seen.span
    assert seen.end_ns < after.start_ns


def test_callables_of_the_programs_own(recording: Recording) -> None:
    """`skip` leaves a request alone; a callable that fails costs only what it would have told, and is counted."""
    app = FastAPI()
    app.get("/{name}")(lambda name: leaf(name))

    def broken(scope: Any) -> str:
        raise KeyError("cookie")

    app.add_middleware(
        SpanreelMiddleware,
        session=broken,
        user=lambda scope: None,
        skip=lambda scope: scope["path"] == "/health",
    )
    with uvicorn_serving(app) as url, _client(url) as client:
        assert [client.get(path).json() for path in ("/health", "/work")] == ["health", "work"]
    assert sorted(span.name for span in recording.spans()) == ["GET /work", "leaf", "leaf"]
    assert "session.id" not in recording.one("GET /work").attributes
    assert recording.losses() == {"middleware_callable_failed": 1}


def test_beside_a_provider_of_the_users(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside another OpenTelemetry provider: its span is our foreign parent, and its own pairs do not change."""
    memory = InMemorySpanExporter()
    theirs = TracerProvider()
    theirs.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(otel, "_TRACER_PROVIDER", theirs)
    tracer = otel.get_tracer("app")

    def drive(traced: bool) -> list[tuple[str, str | None]]:
        app = FastAPI()

        @app.get("/")
        async def home() -> str:
            with tracer.start_as_current_span("inside"):
                return leaf("x") if traced else "x"

        if traced:
            app.add_middleware(SpanreelMiddleware)

        @app.middleware("http")
        async def request_span(request: Request, call_next: Any) -> Any:
            with tracer.start_as_current_span("request"):
                return await call_next(request)

        memory.clear()
        with uvicorn_serving(app) as url, _client(url) as client:
            assert client.get("/", headers={"traceparent": TRACEPARENT}).json() == "x"
        spans = memory.get_finished_spans()
        names = {span.context.span_id: span.name for span in spans if span.context}
        return sorted(
            (span.name, names.get(span.parent.span_id, "?") if span.parent else None) for span in spans
        )

    pairs = drive(traced=False)
    assert drive(traced=True) == pairs
    outer = next(span for span in memory.get_finished_spans() if span.name == "request")
    assert outer.context is not None
    seen = recording.one("GET /")
    assert (seen.trace, seen.parent) == (TRACEPARENT[3:35], f"{outer.context.span_id:016x}")
    assert seen.flags == "f"
    theirs.shutdown()


def test_failures_of_ours_cost_the_program_nothing(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever breaks in the middleware, the application serves as before."""
    monkeypatch.setattr(guard, "strict", False)
    app = FastAPI()
    app.get("/{name}")(lambda name: name)
    with uvicorn_serving(SpanreelMiddleware(app)) as url, _client(url) as client:
        for broken in ("begin", "Served._bodies", "Served.first", "Body.add", "Body.describe"):
            with monkeypatch.context() as patch:
                patch.setattr(f"spanreel.served.{broken}", lambda *a, **k: 1 / 0)
                assert client.get("/x").json() == "x", broken


def test_switched_off(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """With recording off the application is called as it is."""
    recording.configure(sample_rate=0.0)
    app = FastAPI()
    app.get("/")(lambda: "x")
    with uvicorn_serving(SpanreelMiddleware(app)) as url, _client(url) as client:
        assert client.get("/").json() == "x"
    assert recording.spans() == []


SpanreelMiddleware = spanreel.SpanreelMiddleware
