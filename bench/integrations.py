"""One decorator over a program with the real `openai` client, and spanreel beside a user's own OpenTelemetry."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from bench import child
from bench.report import Measured, Plan

REQUESTS = 20
_F = TypeVar("_F", bound=Callable[..., Any])
_ONE_DECORATOR = """
import openai
client = openai.OpenAI()
from spanreel import trace
@trace
def ask(question):
    messages = [{"role": "user", "content": question}]
    return client.chat.completions.create(model="gpt-4o-mini", messages=messages).choices[0].message.content
ask("How long does a bicycle chain last?")
"""


def one_decorator(plan: Plan) -> Measured:
    """A script whose openai client is made at import time, before spanreel is imported, and one @trace."""
    if find_spec("openai") is None:
        return Measured("not measured: openai is not installed", reached=False, n="0")
    from spanreel_demo.model_server import ModelServer
    from spanreel_exporters.duckdb.reader import DuckReader

    with ModelServer(pace=0) as server, child.scratch(plan.scratch, "openai") as folder:
        store = folder / "store"
        extra = {"SPANREEL_STORE": str(store), "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "none"}
        done = subprocess.run(
            [sys.executable, "-c", _ONE_DECORATOR], env=child.environment(extra), cwd=child.ROOT,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        with DuckReader(store) as reader:
            rows: list[Any] = reader.connection.execute(
                "SELECT kind, name, parent_id IS NULL, state, status, input_tokens, output_tokens, cost_usd FROM spans "
                "ORDER BY start_ns"
            ).fetchall()
    kinds = [row[0] for row in rows]
    call = next((row for row in rows if row[0] == "llm"), None)
    whole = call is not None and None not in call[5:] and all(row[3:5] == ("ended", "ok") for row in rows)
    told = f"{call[5]} + {call[6]} tokens, ${call[7]:.2g}" if call and None not in call[5:] else f"{call}"
    return Measured(
        f"{' + '.join(kinds)}; {told}; program printed {len(done.stdout + done.stderr)} bytes",
        kinds == ["chain", "llm"] and whole and not (done.stdout + done.stderr),
        "1 script",
    )


def serve(how: str) -> None:
    """Answer requests in FastAPI with a provider and exporter of the user's; answer the spans it exported."""
    from fastapi import FastAPI, Request
    from fastapi.testclient import TestClient
    from opentelemetry import trace as otel
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    import spanreel

    class Counting(IdGenerator):
        """The same ids in both runs, so that the pairs can be compared as they are."""

        def __init__(self) -> None:
            self._last = 0

        def generate_span_id(self) -> int:
            self._last += 1
            return self._last

        def generate_trace_id(self) -> int:
            return self.generate_span_id() + (1 << 100)

    exporter = InMemorySpanExporter()
    provider = TracerProvider(id_generator=Counting())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    otel.set_tracer_provider(provider)
    tracer = otel.get_tracer("user")

    def traced(function: _F) -> _F:
        return spanreel.trace(function) if how == "with" else function

    @traced
    async def answer(question: str) -> str:
        with tracer.start_as_current_span("user.rerank"):
            return summarise(question)

    @traced
    def summarise(question: str) -> str:
        with tracer.start_as_current_span("user.summary"):
            return question.upper()

    app = FastAPI()

    @app.middleware("http")
    async def span_of_request(request: Request, call_next: Any) -> Any:
        with tracer.start_as_current_span(f"GET {request.url.path}"):
            return await call_next(request)

    @app.get("/ask/{question}")
    async def ask(question: str) -> str:
        return await answer(question)

    with TestClient(app) as client:
        for number in range(REQUESTS):
            client.get(f"/ask/{number}").raise_for_status()
    pairs = [
        (span.name, identity.trace_id, identity.span_id, span.parent.span_id if span.parent else None)
        for span in exporter.get_finished_spans()
        if (identity := span.get_span_context()) is not None
    ]
    child.answer(pairs)


def beside_otel(plan: Plan) -> Measured:
    """The user's exporter with and without spanreel, and what our own list shows."""
    if find_spec("fastapi") is None or find_spec("httpx") is None:
        return Measured("not measured: fastapi or httpx is not installed", reached=False, n="0")
    from spanreel_exporters.duckdb.reader import DuckReader

    with child.scratch(plan.scratch, "fastapi") as folder:
        store = Path(folder / "store")
        without = child.run("integrations", "without")
        found = child.run("integrations", "with", extra={"SPANREEL_STORE": os.fspath(store)})
        with DuckReader(store) as reader:
            page = reader.traces(limit=1_000)
            rows: list[Any] = reader.connection.execute(
                "SELECT count(*), count(*) FILTER (NOT foreign_parent AND parent_id IS NOT NULL AND parent_id NOT IN "
                "(SELECT span_id FROM spans)) FROM spans"
            ).fetchall()
    spans, orphans = rows[0]
    same = found == without and len(found) >= 3 * REQUESTS
    said = "identical" if same else f"DIFFERENT ({len(found)} / {len(without)} spans)"
    return Measured(
        f"pairs {said}; our list: {page.total} traces of {REQUESTS} requests, {spans} spans, {orphans} orphans",
        same and page.total == REQUESTS and spans == 2 * REQUESTS and not orphans,
        f"{len(found)} spans",
    )


if __name__ == "__main__":
    serve(sys.argv[1])
