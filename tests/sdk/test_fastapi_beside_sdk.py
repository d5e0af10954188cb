"""A FastAPI application with an OpenTelemetry SDK provider of its own, over a real socket, with and without us."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from recording import Recording
from starlette.responses import StreamingResponse

import spanreel

pytestmark = pytest.mark.sdk


def _application(traced: bool) -> FastAPI:
    tracer = otel.get_tracer("app")
    decorate: Any = spanreel.trace if traced else (lambda function: function)
    app = FastAPI()

    @app.middleware("http")
    async def request_span(request: Any, call_next: Any) -> Any:
        with tracer.start_as_current_span("request"):
            return await call_next(request)

    @decorate
    def lookup(n: int) -> int:
        with tracer.start_as_current_span("db"):
            return n * 2

    @app.get("/async/{n}")
    @decorate
    async def asynchronous(n: int) -> int:
        results = await asyncio.gather(asyncio.to_thread(lookup, n), asyncio.to_thread(lookup, n + 1))
        return sum(results)

    @app.get("/sync/{n}")
    @decorate
    def synchronous(n: int) -> int:
        return int(lookup(n))

    @app.get("/stream/{n}")
    @decorate
    async def stream(n: int) -> StreamingResponse:
        async def pieces() -> AsyncIterator[str]:
            for index in range(n):
                yield f"{lookup(index)};"
                await asyncio.sleep(0)

        return StreamingResponse(pieces())

    return app


class _Server(uvicorn.Server):
    def install_signal_handlers(self) -> None: ...


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(otel, "_TRACER_PROVIDER", provider)
    yield memory
    provider.shutdown()


def _drive(traced: bool) -> list[str]:
    server = _Server(uvicorn.Config(_application(traced), port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            threading.Event().wait(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            return [client.get(f"/{kind}/{n}").text for n in range(3) for kind in ("async", "sync", "stream")]
    finally:
        server.should_exit = True
        thread.join()


def _pairs(memory: InMemorySpanExporter) -> list[tuple[str, str | None]]:
    spans = memory.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans if span.context}
    return sorted((span.name, names.get(span.parent.span_id, "?") if span.parent else None) for span in spans)


def test_one_trace_per_request_and_nothing_changed_for_the_users_exporter(
    recording: Recording, exporter: InMemorySpanExporter
) -> None:
    plain = _drive(traced=False)
    pairs = _pairs(exporter)
    exporter.clear()
    assert _drive(traced=True) == plain
    assert _pairs(exporter) == pairs
    spans = recording.spans()
    known = {span.span for span in spans}
    roots = [span for span in spans if span.parent not in known]
    assert len(roots) == len({span.trace for span in spans}) == 9
    assert all(span.flags == "f" for span in roots)
    assert all(span.ended and span.status == "ok" for span in spans)
