"""Attempts of one call: told by headers or inferred, inside a trace and outside, with what was waited; idle streams."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai_server import OpenAIServer
from recording import Recording
from wire_journal import only, spans

import spanreel
from spanreel import clock, recorder, wire
from spanreel.wire import recording as recordings
from spanreel.wire import retries
from spanreel_exporters.duckdb.ingest import catch_up
from spanreel_exporters.duckdb.reader import DuckReader

pytestmark = pytest.mark.sdk

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
ANSWER = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}],
          "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}  # fmt: skip


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    running = OpenAIServer()
    yield running
    running.close()


class Clock:
    """A wall and a tick that stand still until told."""

    def __init__(self) -> None:
        self.ns = 1_800_000_000 * 10**9

    def __call__(self) -> int:
        return self.ns

    def advance(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)


@pytest.fixture
def time(recording: Recording) -> Iterator[Clock]:
    made = Clock()
    clock.use(now_ns=made, tick_ns=made)
    yield made
    clock.use()


@pytest.fixture(autouse=True)
def hooks() -> Iterator[None]:
    wire.install()
    retries._failed.set(None)
    retries._kept.clear()
    yield
    retries._kept.clear()


def answering(*statuses: int, headers: dict[str, str] | None = None) -> httpx2.Client:
    """A client whose server answers with these, one after the other."""
    left = iter(statuses)

    def answer(request: Any) -> Any:
        del request
        status = next(left)
        return httpx2.Response(status, json=ANSWER if status == 200 else {}, headers=headers)

    return httpx2.Client(transport=httpx2.MockTransport(answer))


URL = "http://test/v1/chat/completions"


def test_calls_outside_any_trace_are_one_call(recording: Recording, server: OpenAIServer) -> None:
    """A call of the openai client outside of any trace that was tried again is one trace with one call."""
    recorder.widen("all")
    with openai.OpenAI(base_url=server.url, api_key="sk-test") as client:
        client.chat.completions.create(model="limited", messages=CHAT["messages"])
    failed, answered = spans(recording.store, "llm")
    assert answered.raw.trace_id == failed.raw.trace_id
    assert (answered.raw.parent_id, answered.raw.foreign_parent) == (None, False)
    assert answered.raw.attributes["spanreel.retry_of"] == failed.raw.span_id
    assert "spanreel.retry_inferred" not in answered.raw.attributes
    catch_up(recording.store)
    with DuckReader(recording.store) as reader:
        (trace,) = reader.traces().rows
    assert (trace.llm_calls, trace.error_count, trace.span_count, trace.status) == (1, 0, 2, "ok")
    rows = spanreel.sql("SELECT attempts, duplicate_of FROM spans ORDER BY start_ns", store=recording.store)
    assert [row["attempts"] for row in rows] == [1, 2]


@pytest.mark.parametrize("between", [False, True], ids=["one ingest", "an ingest after each"])
def test_inferred_outside_any_trace(recording: Recording, between: bool) -> None:
    """Without a header the same send after a failure is taken for its retry, and marked as inferred."""
    recorder.widen("all")
    with answering(503, 502, 200) as client:
        for _ in range(3):
            client.post(URL, json=CHAT)
            if between:
                catch_up(recording.store)
    catch_up(recording.store)
    attempts = spans(recording.store, "llm")
    assert len({span.raw.trace_id for span in attempts}) == 1
    assert [span.raw.attributes.get("spanreel.retry_inferred") for span in attempts] == [None, True, True]
    with DuckReader(recording.store) as reader:
        (trace,) = reader.traces().rows
    assert (trace.llm_calls, trace.error_count, trace.status, trace.input_tokens) == (1, 0, "ok", 3)


def test_a_call_outside_any_trace_takes_the_time_of_all_its_attempts(
    recording: Recording, time: Clock
) -> None:
    recorder.widen("all")
    with answering(503, 200) as client:
        client.post(URL, json=CHAT)
        time.advance(2.5)
        client.post(URL, json=CHAT)
    catch_up(recording.store)
    with DuckReader(recording.store) as reader:
        (trace,) = reader.traces().rows
    assert (trace.span_count, trace.duration_ms) == (2, 2500.0)


def test_the_next_call_begins_a_trace_of_its_own(recording: Recording) -> None:
    recorder.widen("all")
    with answering(503, 200, 200) as client:
        client.post(URL, json=CHAT)
        client.post(URL, json={**CHAT, "model": "another"})
        client.post(URL, json={**CHAT, "model": "another"})
    assert len({span.raw.trace_id for span in spans(recording.store, "llm")}) == 3


def test_what_was_waited_adds_up(recording: Recording, time: Clock) -> None:
    """The last attempt says how long was waited between all of them."""
    with spanreel.span("root"), answering(503, 503, 200) as client:
        client.post(URL, json=CHAT)
        time.advance(1.5)
        client.post(URL, json=CHAT)
        time.advance(3)
        client.post(URL, json=CHAT)
    waits = [span.raw.attributes.get("spanreel.retry_wait_ms") for span in spans(recording.store, "llm")]
    assert waits == [None, 1500, 4500]


@pytest.mark.parametrize(
    ("seconds", "headers", "linked"),
    [
        (299, {}, True),
        (301, {}, False),
        (400, {"retry-after": "120"}, True),
        (301, {"retry-after-ms": "2000"}, True),
    ],
)
def test_after_long_the_same_call_is_a_new_one(
    recording: Recording, time: Clock, seconds: int, headers: dict[str, str], linked: bool
) -> None:
    with spanreel.span("root"), answering(503, 200, headers=headers) as client:
        client.post(URL, json=CHAT)
        time.advance(seconds)
        client.post(URL, json=CHAT)
    _, second = spans(recording.store, "llm")
    assert ("spanreel.retry_of" in second.raw.attributes) == linked


def test_another_parent_body_or_url_is_no_retry(recording: Recording) -> None:
    with answering(503, 200, 503, 200, 503, 200) as client:
        for url, body in ((URL, CHAT), (URL + "/chat/completions", CHAT), (URL, {**CHAT, "seed": 1})):
            with spanreel.span("root"):
                client.post(URL, json=CHAT)
                if (url, body) == (URL, CHAT):
                    with spanreel.span("another"):
                        client.post(url, json=body)
                else:
                    client.post(url, json=body)
    assert not [span for span in spans(recording.store, "llm") if "spanreel.retry_of" in span.raw.attributes]


def test_attempts_in_tasks_of_their_own_are_linked_by_the_header(recording: Recording) -> None:
    """An SDK that says which send is a retry may make each in a task of its own."""
    statuses = iter([503, 200])

    async def answer(request: Any) -> Any:
        return httpx2.Response(next(statuses), json=ANSWER)

    async def main() -> None:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
            with spanreel.span("root"):
                for count in range(2):
                    headers = {"x-stainless-retry-count": str(count)}
                    await asyncio.create_task(client.post(URL, json=CHAT, headers=headers))

    asyncio.run(main())
    failed, answered = spans(recording.store, "llm")
    assert answered.raw.attributes["spanreel.retry_of"] == failed.raw.span_id
    assert "spanreel.retry_inferred" not in answered.raw.attributes


def test_first_attempts_are_never_linked(recording: Recording) -> None:
    with spanreel.span("root"), answering(503, 200) as client:
        for _ in range(2):
            client.post(URL, json=CHAT, headers={"x-stainless-retry-count": "0"})
    assert not [span for span in spans(recording.store, "llm") if "spanreel.retry_of" in span.raw.attributes]


def test_the_kept_failures_are_bounded() -> None:
    for number in range(3 * retries._MOST):
        retries.remember(
            retries.Failed(str(number), "u", b"", b"t", b"s", 0, 0, 0, retries.PATIENCE_NS, call="")
        )
    assert len(retries._kept) <= retries._MOST


def test_a_stuck_stream_is_abandoned_after_ten_minutes(
    recording: Recording, time: Clock, server: OpenAIServer
) -> None:
    """A stream on which no byte came for ten minutes is abandoned as of its last byte; what comes later is let go."""
    with httpx2.Client() as client, spanreel.span("root"):
        request = client.build_request(
            "POST", f"{server.url}/chat/completions", json={**CHAT, "stream": True}
        )
        response = client.send(request, stream=True)
        pieces = response.iter_bytes(100)
        first = next(pieces)
        time.advance(599)
        recordings.end_idle(clock.tick())
        assert only(recording.store).raw.state == "running"
        time.advance(1)
        recordings.end_idle(clock.tick())
        llm = only(recording.store)
        assert (llm.raw.state, llm.raw.status, llm.meta["ending"]) == ("abandoned", "unset", "idle")
        assert llm.raw.end_ns == llm.raw.start_ns
        assert llm.response.startswith(first)
        assert llm.call.error_type is None
        assert (first + b"".join(pieces)).endswith(b"[DONE]\n\n")
    assert len(only(recording.store).raw.attempts) == 1


def test_a_call_that_waits_for_its_answer_is_not_idle(recording: Recording, time: Clock) -> None:
    def answer(request: Any) -> Any:
        time.advance(3600)
        recordings.end_idle(clock.tick())
        return httpx2.Response(200, json=ANSWER)

    with spanreel.span("root"), httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        client.post(URL, json=CHAT)
    assert only(recording.store).raw.status == "ok"


def test_the_journals_thread_looks_for_idle_streams(
    recording: Recording, time: Clock, server: OpenAIServer
) -> None:
    """No thread is started for it: the one that keeps the journal looks every few seconds."""
    with httpx2.Client() as client, spanreel.span("root"):
        request = client.build_request(
            "POST", f"{server.url}/chat/completions", json={**CHAT, "stream": True}
        )
        response = client.send(request, stream=True)
        time.advance(600)
        active = recorder.active()
        assert active is not None
        active.end_idle()
        assert only(recording.store).raw.state == "abandoned"
        response.close()
