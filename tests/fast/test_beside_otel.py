"""Beside other OpenTelemetry users: their spans keep their parents, ours keep theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from recording import Recording

import spanreel


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """A user's own SDK provider, active as the global one."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(otel, "_TRACER_PROVIDER", provider)
    yield memory
    provider.shutdown()


def _program(traced: bool) -> None:
    tracer = otel.get_tracer("app")
    decorate: Any = spanreel.trace if traced else (lambda function: function)

    @decorate
    def inner() -> None:
        with tracer.start_as_current_span("db"):
            pass

    @decorate
    def outer() -> None:
        with tracer.start_as_current_span("request"):
            inner()
            with tracer.start_as_current_span("nested"):
                inner()

    outer()


def _pairs(spans: tuple[ReadableSpan, ...]) -> list[tuple[str, str | None]]:
    names = {span.context.span_id: span.name for span in spans if span.context}
    return [(span.name, names.get(span.parent.span_id, "?") if span.parent else None) for span in spans]


def test_the_pairs_of_the_users_exporter_are_the_same_with_and_without(
    recording: Recording, exporter: InMemorySpanExporter
) -> None:
    _program(traced=False)
    without = _pairs(exporter.get_finished_spans())
    exporter.clear()
    _program(traced=True)
    assert _pairs(exporter.get_finished_spans()) == without
    assert [span.parent == "" for span in recording.spans()].count(True) == 1


def test_a_foreign_span_makes_a_local_root_in_the_same_trace(
    recording: Recording, exporter: InMemorySpanExporter
) -> None:
    leaf = spanreel.trace(name="leaf")(lambda: spanreel.current_trace_id())
    root = spanreel.trace(name="root")(leaf)
    with otel.get_tracer("app").start_as_current_span("request") as request:
        trace_id = root()
        context = request.get_span_context()
    assert trace_id == f"{context.trace_id:032x}"
    seen = recording.one("root")
    assert (seen.trace, seen.parent, seen.flags) == (trace_id, f"{context.span_id:016x}", "f")
    assert (recording.one("leaf").parent, recording.one("leaf").flags) == (seen.span, "")


def test_ours_is_opentelemetrys_current_span_where_no_other_provider_is(recording: Recording) -> None:
    @spanreel.trace
    def f() -> int:
        return otel.get_current_span().get_span_context().span_id

    assert f"{f():016x}" == recording.spans()[0].span


def test_join_makes_ours_their_parent(recording: Recording, exporter: InMemorySpanExporter) -> None:
    recording.configure(join=True)
    root = spanreel.trace(name="root")(lambda: otel.get_tracer("app").start_span("child").end())
    root()
    (child,) = exporter.get_finished_spans()
    assert child.parent is not None
    assert f"{child.parent.span_id:016x}" == recording.one("root").span


def test_the_journal_processor_records_what_passes_a_users_provider(recording: Recording) -> None:
    provider = TracerProvider()
    provider.add_span_processor(spanreel.JournalProcessor())
    tracer = provider.get_tracer("lib", "1.2")
    with pytest.raises(ValueError, match="boom"), tracer.start_as_current_span("outer") as outer:
        outer.set_attribute("gen_ai.request.model", "m")
        with tracer.start_as_current_span("inner"):
            raise ValueError("boom")
    seen, inner = recording.one("outer"), recording.one("inner")
    assert inner.parent == seen.span
    assert seen.attributes["gen_ai.request.model"] == "m"
    assert seen.attributes["spanreel.scope"] == {"name": "lib", "version": "1.2"}
    assert inner.error is not None
    assert (inner.status, inner.error["type"], inner.error["message"]) == ("error", "ValueError", "boom")


def test_span_processors_get_a_readable_span(recording: Recording) -> None:
    memory = InMemorySpanExporter()
    recording.configure(span_processors=[SimpleSpanProcessor(memory)])

    @spanreel.trace.tool(name="tool")
    def tool(x: int) -> int:
        spanreel.current_span().set_attribute("deep", {"a": [1]})
        return x + 1

    @spanreel.trace(name="root")
    def root() -> int:
        return tool(1)

    root()
    inner, outer = memory.get_finished_spans()
    assert (inner.name, outer.name) == ("tool", "root")
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id
    assert inner.attributes is not None
    assert inner.attributes["gen_ai.operation.name"] == "execute_tool"
    assert inner.attributes["spanreel.input"] == '{"x":1}'
    assert inner.attributes["spanreel.output"] == "2"
    assert inner.attributes["deep"] == '{"a":[1]}'


def test_a_processor_that_fails_costs_only_itself(recording: Recording) -> None:
    from opentelemetry.sdk.trace import SpanProcessor

    from spanreel.guard import guard

    class Broken(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise OSError("theirs")

    guard.strict = False
    recording.configure(span_processors=[Broken()])
    assert spanreel.trace(name="f")(lambda: 1)() == 1
    assert recording.one("f").ended
    assert recording.losses()["internal:span_processors.on_end"] == 1
