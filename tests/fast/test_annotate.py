"""Spans of one's own, set_*, prompts, scores, sessions, sampling, switches."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from recording import Recording

import spanreel


def test_a_block_is_a_span(recording: Recording) -> None:
    with spanreel.span("block", kind="tool", input={"q": 1}) as span:
        span.set_output([1]).set(custom="x").set_attribute("n", 2)
        assert spanreel.current_span() is span
        assert spanreel.current_trace_id() == span.trace_id
    seen = recording.one("block")
    assert (seen.kind, seen.input, seen.output, seen.status) == ("tool", {"q": 1}, [1], "ok")
    assert (seen.attributes["custom"], seen.attributes["n"]) == ("x", 2)
    span.set_attribute("late", 1)
    assert "late" not in recording.one("block").attributes


def test_an_input_that_is_set_later_is_a_value(recording: Recording) -> None:
    with spanreel.span("block", input={"q": 1}) as span:
        span.set_input({"q": [2, "x"]})
    assert recording.one("block").attributes == {"spanreel.input": {"q": [2, "x"]}}
    with spanreel.span("other") as span:
        span.set_input("text").set(n=1)
    assert recording.one("other").attributes == {"spanreel.input": "text", "n": 1}


def test_below_a_block_that_is_sampled_out_nothing_is_recorded(recording: Recording) -> None:
    recording.configure(sample_rate=1e-9)
    for _ in range(50):
        with spanreel.span("block"):
            assert spanreel.trace(lambda: spanreel.current_span().recording)() is False
            recording.configure(sample_rate=1.0)
            spanreel.trace(name="below")(lambda: None)()
            recording.configure(sample_rate=1e-9)
    assert recording.spans() == []


def test_an_async_block_and_an_exception(recording: Recording) -> None:
    async def run() -> None:
        async with spanreel.span("block"):
            raise KeyError("k")

    with pytest.raises(KeyError):
        asyncio.run(run())
    assert recording.one("block").status == "error"


def test_a_span_as_decorator(recording: Recording) -> None:
    @spanreel.span("named", kind="tool")
    def f(x: int) -> int:
        return x

    assert f(2) == 2
    assert (recording.one("named").kind, recording.one("named").input) == ("tool", {"x": 2})


def test_a_call_that_is_not_http_is_recorded_as_fully(recording: Recording) -> None:
    @spanreel.trace.llm(name="local")
    def local(question: str) -> str:
        span = spanreel.current_span()
        span.set_model("llama-3", provider="ollama")
        span.set_messages(
            input=[{"role": "user", "content": question}], output=[{"role": "assistant", "content": "A"}]
        )
        span.first_token()
        span.set_usage(
            input_tokens=10, output_tokens=5, cache_read_tokens=4, reasoning_tokens=1, cost_usd=0.25
        )
        return "A"

    local("Q")
    seen = recording.one("local")
    assert seen.attributes == {
        "gen_ai.request.model": "llama-3",
        "gen_ai.provider.name": "ollama",
        "gen_ai.input.messages": [{"role": "user", "content": "Q"}],
        "gen_ai.output.messages": [{"role": "assistant", "content": "A"}],
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 1,
        "spanreel.cost_usd": 0.25,
    }
    assert seen.first_ns is not None
    assert seen.start_ns <= seen.first_ns <= seen.end_ns


def test_a_prompt_renders_and_leaves_other_braces(recording: Recording) -> None:
    text = spanreel.prompt("greet", 'Hi {{ name }}, {name}! {"json": {other}}', name="Ada")
    assert text == 'Hi Ada, Ada! {"json": {other}}'


def test_scores_go_to_the_current_span_or_the_named_one(recording: Recording) -> None:
    with spanreel.span("s") as span:
        spanreel.score("quality", 0.5, comment="fine")
        span.score("ok", True, label="yes", source="human", author="me")
    spanreel.score("later", 1, trace_id=span.trace_id)
    spanreel.score("nowhere", 1)
    first, second, third = recording.scores()
    assert (first["trace_id"], first["span_id"], first["value"], first["source"]) == (
        span.trace_id,
        span.span_id,
        0.5,
        "code",
    )
    assert (second["value"], second["label"], second["author"]) == (1.0, "yes", "me")
    assert (third["span_id"], third["trace_id"]) == (None, span.trace_id)
    assert recording.losses() == {"score_without_trace": 1}
    with pytest.raises(TypeError, match="unknown source"):
        spanreel.score("x", 1, source="robot")  # type: ignore[arg-type]


def test_outside_of_a_trace_there_is_always_a_span_to_talk_to(recording: Recording) -> None:
    span = spanreel.current_span()
    span.set_attribute("a", 1)
    span.set_usage(input_tokens=1).set_model("m").first_token().set_documents([])
    span.record_exception(ValueError())
    assert spanreel.current_trace_id() == "0" * 32
    assert recording.spans() == []


def test_attributes_reach_below_and_end_with_the_block(recording: Recording) -> None:
    leaf = spanreel.trace(name="leaf")(lambda: None)

    @spanreel.attributes(feature="x")
    def decorated() -> None:
        leaf()

    with spanreel.attributes(a=1), spanreel.attributes(b=2):
        leaf()
    decorated()
    leaf()
    assert [span.attributes for span in recording.spans()] == [{"a": 1, "b": 2}, {"feature": "x"}, {}]


def test_sampling_decides_per_trace(recording: Recording) -> None:
    recording.configure(sample_rate=0.5)
    leaf = spanreel.trace(name="leaf")(lambda: None)
    root = spanreel.trace(name="root")(leaf)
    for _ in range(200):
        root()
    spans = recording.spans()
    roots = [span for span in spans if span.name == "root"]
    assert 50 < len(roots) < 150
    assert {span.parent for span in spans if span.name == "leaf"} == {span.span for span in roots}
    recording.configure(sample_rate=0.0)
    root()
    assert len(recording.spans()) == len(spans)


def test_capture_metadata_and_none(recording: Recording) -> None:
    def work(secret: str) -> str:
        spanreel.current_span().set_model("m").set_usage(input_tokens=3).set_attribute("note", secret)
        spanreel.current_span().set_messages(input=[{"role": "user", "content": secret}])
        return secret

    recording.configure(capture="metadata")
    spanreel.trace(name="metadata")(work)("hidden-words")
    seen = recording.one("metadata")
    assert (seen.input, seen.output, seen.attributes["gen_ai.usage.input_tokens"]) == (None, None, 3)
    assert "gen_ai.input.messages" not in seen.attributes
    recording.configure(capture="none")
    spanreel.trace(name="none")(work)("secret-words")
    assert recording.one("none").attributes == {"gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 3}
    assert b"secret-words" not in recording.raw()


def test_configure_says_what_is_wrong(recording: Recording) -> None:
    with pytest.raises(spanreel.SpanreelError, match="did you mean 'sample_rate'"):
        spanreel.configure(samplerate=1)
    with pytest.raises(spanreel.SpanreelError, match="one of full, metadata, none"):
        spanreel.configure(capture="some")  # type: ignore[arg-type]
    with pytest.raises(spanreel.SpanreelError, match="from 0 to 1"):
        spanreel.configure(sample_rate=3)


def test_configure_moves_to_another_store(recording: Recording, tmp_path: Path) -> None:
    from recording import spans

    f = spanreel.trace(name="f")(lambda: None)
    f()
    spanreel.configure(store=tmp_path / "other")
    f()
    assert len(recording.spans()) == 1
    assert len(spans(tmp_path / "other")) == 1


@pytest.mark.crash
@pytest.mark.parametrize("switch", ["SPANREEL_DISABLED", "OTEL_SDK_DISABLED"])
def test_disabled_means_untouched(tmp_path: Path, switch: str) -> None:
    code = "import spanreel\ndef f(): return 1\nassert spanreel.trace(f) is f\nwith spanreel.span('x') as s: s.set(a=1)\nspanreel.score('a', 1)"
    environment: dict[str, Any] = {**os.environ, switch: "true", "SPANREEL_STORE": str(tmp_path / "s")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not (tmp_path / "s").exists()


def test_everything_public_is_listed_and_loads() -> None:
    for name in spanreel.__all__:
        assert getattr(spanreel, name) is not None
    assert dir(spanreel) == sorted(spanreel.__all__)
