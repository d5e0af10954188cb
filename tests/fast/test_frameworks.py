"""Frameworks: the provider their instrumentors get, who is named as not recorded, and where that is shown.

The frameworks themselves run in tests/matrix.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from recording import Recording

import spanreel
from spanreel import recorder
from spanreel.instruments import framework_provider, frameworks
from spanreel_exporters.duckdb.doctor import doctor
from spanreel_exporters.duckdb.ingest import catch_up
from spanreel_exporters.duckdb.loss_words import describe_note
from spanreel_exporters.duckdb.results import LossRow
from spanreel_viewer import answers


@pytest.fixture
def tracer() -> Iterator[otel.Tracer]:
    """The tracer of an instrumentor that `instrument()` has put in."""
    framework_provider.install("test")
    yield framework_provider.Provider().get_tracer("openinference.instrumentation.test", "1")
    framework_provider.uninstall("test")


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    memory, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(otel, "_TRACER_PROVIDER", provider)
    yield memory
    provider.shutdown()


def tree(recording: Recording) -> dict[str, str]:
    names = {span.span: span.name for span in recording.spans()}
    return {span.name: names.get(span.parent, "") for span in recording.spans()}


def test_a_frameworks_spans_and_ours_are_one_trace(recording: Recording, tracer: otel.Tracer) -> None:
    with spanreel.span("ask"), tracer.start_as_current_span("step", attributes={"a": "sk-" + "a" * 48}):
        spanreel.current_span().set_attribute("mine", {"b": [1]})
        with spanreel.span("ours"), tracer.start_as_current_span("inner"):
            spanreel.trace(name="leaf")(lambda: None)()
    assert tree(recording) == {"ask": "", "step": "ask", "ours": "step", "inner": "ours", "leaf": "inner"}
    assert len({span.trace for span in recording.spans()}) == 1
    assert all(span.ended for span in recording.spans())
    step = recording.one("step").attributes
    assert step["mine"] == '{"b":[1]}'
    assert "aaaa" not in step["a"]
    assert step["spanreel.scope"]["name"] == "openinference.instrumentation.test"


def test_what_is_inherited_reaches_a_frameworks_spans(recording: Recording, tracer: otel.Tracer) -> None:
    with spanreel.session("s-1"), tracer.start_as_current_span("step"):
        pass
    assert recording.one("step").attributes["session.id"] == "s-1"


def test_a_programs_own_provider_sees_what_it_would_without(
    recording: Recording, tracer: otel.Tracer, exporter: InMemorySpanExporter
) -> None:
    users = otel.get_tracer("users")
    with users.start_as_current_span("request"), tracer.start_as_current_span("step"):
        with users.start_as_current_span("users own"), tracer.start_as_current_span("inner"):
            users.start_span("deep").end()
        assert otel.get_current_span().is_recording()
    with tracer.start_as_current_span("alone"), users.start_as_current_span("root"):
        pass
    names = {span.context.span_id: span.name for span in exporter.get_finished_spans() if span.context}
    pairs = {s.name: names[s.parent.span_id] if s.parent else "" for s in exporter.get_finished_spans()}
    assert pairs == {"deep": "users own", "users own": "request", "request": "", "root": ""}
    assert tree(recording) == {"step": "", "inner": "step", "alone": ""}
    assert [recording.one(name).flags for name in ("step", "inner", "alone")] == ["f", "", ""]


def test_a_span_without_a_current_one_is_sampled_with_its_trace(
    recording: Recording, tracer: otel.Tracer, exporter: InMemorySpanExporter
) -> None:
    recording.configure(sample_rate=0.0)
    users = otel.get_tracer("users")
    with users.start_as_current_span("request"), tracer.start_as_current_span("step") as step:
        assert not step.is_recording()
        with tracer.start_as_current_span("inner"), users.start_as_current_span("users own"):
            pass
    assert recording.spans() == []
    own, request = exporter.get_finished_spans()
    assert own.parent is not None
    assert request.context is not None
    assert own.parent.span_id == request.context.span_id


def test_more_attributes_than_the_sdks_limit_are_kept(recording: Recording, tracer: otel.Tracer) -> None:
    with tracer.start_as_current_span("step") as span:
        span.set_attributes({f"llm.input_messages.{n}.message.content": "x" for n in range(300)})
    assert len(recording.one("step").attributes) > 300


def test_a_failed_step_has_its_error(recording: Recording, tracer: otel.Tracer) -> None:
    with pytest.raises(ValueError, match="boom"), tracer.start_as_current_span("step"):
        raise ValueError("boom")
    error = recording.one("step").error
    assert error is not None
    assert (error["type"], error["message"]) == ("ValueError", "boom")


def test_nothing_stays_behind() -> None:
    def seen() -> list[Any]:
        modules = (
            sdk.Tracer,
            sys.modules["opentelemetry.context"],
            sys.modules["opentelemetry.trace.propagation"],
        )
        return [vars(modules[0])["start_span"], *(vars(module)["set_value"] for module in modules[1:])]

    before = seen()
    framework_provider.install("one")
    framework_provider.install("two")
    assert sdk.Tracer.start_span is not before[0]
    framework_provider.uninstall("one")
    assert sdk.Tracer.start_span is not before[0]
    framework_provider.uninstall("two")
    assert seen() == before


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that looks like CrewAI, whose instrumentor is not installed here."""
    module: Any = ModuleType("crewai")
    module.Crew = object
    monkeypatch.setitem(sys.modules, "crewai", module)
    monkeypatch.setattr(frameworks, "watched", frameworks.TABLE)
    monkeypatch.setattr(frameworks, "_told", set())
    named = frozenset({"crewai"})
    monkeypatch.setattr(frameworks, "watched", tuple(f for f in frameworks.TABLE if f.name in named))
    yield module
    frameworks.hooks.uninstall()
    frameworks.hooks._outcomes.clear()


def test_a_framework_without_its_instrumentor(recording: Recording, crew: ModuleType) -> None:
    (outcome,) = spanreel.instrument("crewai")
    assert (outcome.state, outcome.reason) == (
        "not installed",
        "openinference-instrumentation-crewai is not installed: pip install 'spanreel[crewai]'",
    )


def test_a_module_that_only_is_called_so(recording: Recording, crew: ModuleType) -> None:
    del vars(crew)["Crew"]
    (outcome,) = spanreel.instrument("crewai")
    assert (outcome.state, outcome.reason) == ("not imported", "the module of this name is not CrewAI")
    assert frameworks.unrecorded(sys.modules) == []


def test_it_is_named_in_doctor_and_in_the_viewer(recording: Recording, crew: ModuleType) -> None:
    with spanreel.span("root"):
        active = recorder.active()
        assert active is not None
        active.note_unseen()
        active.note_unseen()
    remedy = "pip install 'spanreel[crewai]', then spanreel.instrument() or spanreel run"
    assert recording.losses() == {f"unrecorded_framework:CrewAI ({remedy})": 1}
    catch_up(recording.store)
    (check,) = (check for check in doctor(recording.store).checks if check.name == "libraries")
    assert check.text.startswith("CrewAI: a framework whose steps are not recorded")
    assert check.advice == remedy


def loss(reason: str) -> LossRow:
    return LossRow(reason=reason, pid=1, service="app", count=1, first_ns=1, last_ns=2)


def test_the_viewer_says_it_in_one_line() -> None:
    one = [
        loss("unrecorded_framework:CrewAI (pip install x)"),
        loss("unseen_library:grpc"),
        loss("torn_record"),
    ]
    assert answers._unrecorded(one) == [
        {
            "text": "Not recorded: the steps of CrewAI; calls through grpc, if there are any.",
            "level": "note",
            "hint": "pip install x",
        }
    ]
    two = [*one, loss("unrecorded_framework:Haystack (pip install y)")]
    (line,) = answers._unrecorded(two)
    assert line["hint"] == "spanreel doctor"
    assert answers._unrecorded([loss("torn_record")]) == []
    assert describe_note("unseen_library:grpc")[0] == "grpc"
