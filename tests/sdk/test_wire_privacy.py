"""What must never be in the store, what stays when bodies are not captured, and bodies that are too long."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai_server import OpenAIServer
from recording import Recording
from wire_journal import Recorded, only, spans

import spanreel
from spanreel import recorder
from spanreel.guard import guard

pytestmark = pytest.mark.sdk

KEY = "sk-proj-planted0123456789abcdefghijklmnopqrstuvwxyzABCDEF"
CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    running = OpenAIServer()
    yield running
    running.close()


def call(url: str, body: dict[str, Any] | None = None, **options: Any) -> None:
    with spanreel.span("root"), httpx2.Client(**options) as client:
        client.post(f"{url}/chat/completions", json=body or CHAT)


def answering(
    make: Callable[[], bytes], kind: str = "application/json", pieces: int = 1
) -> httpx2.MockTransport:
    """A transport that answers with these bytes, in chunks of about equal size."""

    class Body(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            data = make()
            size = max(len(data) // pieces, 1)
            for start in range(0, len(data), size):
                yield data[start : start + size]

    return httpx2.MockTransport(lambda _: httpx2.Response(200, headers={"content-type": kind}, stream=Body()))


def event(delta: dict[str, Any], index: int = 0) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": index, "delta": delta}]}).encode() + b"\n\n"


def test_credentials_cookies_and_queries_are_nowhere(recording: Recording, server: OpenAIServer) -> None:
    with (
        spanreel.span("root"),
        openai.OpenAI(base_url=f"{server.url}", api_key=KEY, organization="org-planted") as client,
    ):
        client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": f"my key is {KEY}, the planted one"}],
            extra_headers={"cookie": "a=planted-cookie", "x-api-key": "planted-header"},
            extra_query={"key": "planted-query"},
        )
    everything = recording.raw()
    for planted in (
        KEY.encode(),
        b"planted-cookie",
        b"planted-header",
        b"planted-query",
        b"org-planted",
        b"Bearer",
    ):
        assert planted not in everything
    llm = only(recording.store)
    assert llm.said.startswith("You said: my key is [REDACTED")
    assert "the planted one" in llm.said
    assert llm.meta["url"] == f"{server.url}/chat/completions"


def test_user_and_password_of_a_url_are_not_recorded(recording: Recording) -> None:
    call("http://someone:planted@test/v1", transport=answering(lambda: b"{}"))
    assert b"planted" not in recording.raw()
    assert only(recording.store).meta["url"] == "http://test/v1/chat/completions"


@pytest.mark.parametrize("piece", [1, 5, 17])
def test_a_secret_split_over_deltas(recording: Recording, piece: int) -> None:
    text = f"The key is {KEY}. Keep it."
    deltas = [text[start : start + piece] for start in range(0, len(text), piece)]
    data = b"".join(event({"content": delta}) for delta in deltas) + b"data: [DONE]\n\n"
    call(
        "http://test/v1",
        {**CHAT, "stream": True},
        transport=answering(lambda: data, "text/event-stream", len(deltas)),
    )
    llm = only(recording.store)
    assert "planted" not in "".join(part["content"] for part in llm.call.output_messages[0]["parts"])
    assert llm.said.startswith("The key is [REDACTED")
    assert llm.said.endswith("Keep it.")
    offsets = [offset for offset, _ in llm.meta["chunks"]]
    assert offsets == sorted(offsets)
    assert offsets[-1] <= len(llm.response)


def test_a_secret_split_over_two_interleaved_choices_and_arguments(recording: Recording) -> None:
    data = b""
    for number in range(0, len(KEY), 3):
        data += event({"content": KEY[number : number + 3]}) + event(
            {"content": KEY[number : number + 3]}, index=1
        )
    arguments = json.dumps({"password": "planted-password", "city": "Rome"})
    for number in range(0, len(arguments), 4):
        call_delta = {
            "index": 0,
            "id": "c",
            "function": {"name": "f", "arguments": arguments[number : number + 4]},
        }
        data += event({"tool_calls": [call_delta]})
    data += b"data: [DONE]\n\n"
    call("http://test/v1", {**CHAT, "n": 2}, transport=answering(lambda: data, "text/event-stream", 50))
    first, second = only(recording.store).call.output_messages
    assert KEY not in json.dumps([first, second])
    assert first["parts"][-1]["arguments"] == {"password": "[REDACTED]", "city": "Rome"}
    assert "[REDACTED" in second["parts"][0]["content"]


def test_a_callable_of_the_users_sees_the_bytes(recording: Recording, server: OpenAIServer) -> None:
    recording.configure(redact=lambda value: value.replace("Hello", "[greeting]"))
    call(server.url)
    llm = only(recording.store)
    assert b"Hello" not in recording.raw()
    assert llm.said == "You said: [greeting]"
    assert llm.call.input_messages[0]["parts"][0]["content"] == "[greeting]"


@pytest.mark.parametrize("capture", ["metadata", "none"])
@pytest.mark.parametrize("stream", [False, True])
def test_without_bodies_usage_and_model_survive(
    recording: Recording, server: OpenAIServer, capture: str, stream: bool
) -> None:
    recording.configure(capture=capture)
    body = {**CHAT, "messages": [{"role": "user", "content": "planted words"}]}
    call(
        server.url, {**body, "stream": stream, "stream_options": {"include_usage": True}} if stream else body
    )
    assert b"planted" not in recording.raw()
    llm = only(recording.store)
    attributes = llm.raw.attributes
    assert attributes["gen_ai.request.model"] == "gpt-4o-mini"
    assert attributes["gen_ai.response.model"] == "gpt-4o-mini-2024-07-18"
    assert attributes["gen_ai.usage.input_tokens"] == 1200
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 1024
    assert attributes["gen_ai.usage.output_tokens"] == 40
    assert attributes["gen_ai.usage.reasoning.output_tokens"] == 16
    if capture == "metadata":
        assert attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert (llm.response, llm.raw.attempts[0].request) == (b"", b"")
    assert llm.meta["response_bytes"] == len(server.bodies[0])
    assert llm.meta["chunks"]
    assert (llm.raw.first_ns is not None) is stream
    assert llm.call.usage is None
    assert llm.call.output_messages == []


def test_an_error_without_bodies(recording: Recording, server: OpenAIServer) -> None:
    recording.configure(capture="none")
    call(server.url, {**CHAT, "model": "refused"})
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type, llm.raw.error_message) == ("error", "400", "")


def shrunk(recording: Recording) -> Recorded:
    assert recording.losses() == {"wire_truncated": 1}
    llm = only(recording.store)
    assert llm.meta["truncated"] is True
    return llm


def test_a_long_request_stays_json(recording: Recording, server: OpenAIServer) -> None:
    image = "data:image/png;base64," + "A" * 5_000_000
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": image}}]
    call(server.url, {**CHAT, "messages": [{"role": "user", "content": parts}]})
    llm = shrunk(recording)
    text, blob = llm.call.input_messages[0]["parts"]
    assert text == {"type": "text", "content": "What is it?"}
    assert (blob["type"], blob["mime_type"], blob["modality"]) == ("blob", "image/png", "image")
    assert blob["content"].endswith("[... 5000022 characters]")
    assert len(llm.raw.attempts[0].request) < 10_000
    assert llm.raw.input is not None


def test_a_long_response_keeps_usage_and_dimension(recording: Recording) -> None:
    vectors = [{"index": n, "embedding": [0.5] * 1_536} for n in range(800)]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    data = json.dumps({"model": "e", "data": vectors, "usage": usage}).encode()
    with spanreel.span("root"), httpx2.Client(transport=answering(lambda: data, pieces=9)) as client:
        client.post("http://test/v1/embeddings", json={"model": "e", "input": ["x"] * 800})
    assert recording.losses() == {"wire_truncated": 1}
    found = only(recording.store, "embedding")
    assert len(found.response) < 200_000
    assert found.call.parameters["gen_ai.embeddings.dimension.count"] == 1_536
    assert found.call.usage is not None
    assert found.call.usage.input_tokens == 5


def test_a_long_stream_keeps_its_beginning_and_its_end(recording: Recording) -> None:
    body = b"".join(event({"content": f"word {number} " + "x" * 300}) for number in range(15_000))
    last = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
    data = body + b"data: " + json.dumps(last).encode() + b"\n\ndata: [DONE]\n\n"
    call(
        "http://test/v1",
        {**CHAT, "stream": True},
        transport=answering(lambda: data, "text/event-stream", 1_000),
    )
    llm = shrunk(recording)
    assert llm.said.startswith("word 0 ")
    assert "word 14999 " in llm.said
    assert "word 14000 " not in llm.said
    assert len(llm.response) < 4_500_000
    assert llm.call.usage is not None
    assert llm.call.usage.output_tokens == 2
    assert all(offset <= len(llm.response) for offset, _ in llm.meta["chunks"])
    assert llm.raw.status == "ok"


def test_a_response_longer_than_what_is_held(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    from spanreel.wire import body

    monkeypatch.setattr(body, "HOLD", 10_000)
    data = b"".join(event({"content": f"word {number} "}) for number in range(20_000)) + b"data: [DONE]\n\n"
    call(
        "http://test/v1",
        {**CHAT, "stream": True},
        transport=answering(lambda: data, "text/event-stream", 5_000),
    )
    llm = shrunk(recording)
    assert llm.said.startswith("word 0 ")
    assert llm.said.endswith("word 19999 ")
    assert llm.meta["response_bytes"] == len(data)
    assert llm.raw.status == "ok"


def test_bytes_that_are_no_text(recording: Recording) -> None:
    call("http://test/v1", transport=answering(lambda: b"\xff\xfe\x00 not text"))
    llm = only(recording.store)
    assert llm.meta["encoding"] == "base64"
    assert llm.response == b"\xff\xfe\x00 not text"
    assert json.loads(llm.raw.attempts[0].request) == CHAT


def test_a_request_with_white_space_and_a_recording_that_fails(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretty = json.dumps(CHAT, indent="\t").replace("\n", "\r\n")
    with spanreel.span("root"), httpx2.Client(transport=answering(lambda: b"{}")) as client:
        client.post("http://test/v1/chat/completions", content=pretty)
        guard.strict = False
        monkeypatch.setattr("spanreel.wire.recording.write", lambda *_args, **_options: 1 / 0)
        assert client.post("http://test/v1/chat/completions", content=pretty).content == b"{}"
    first, second = spans(recording.store, "llm")
    assert json.loads(first.raw.input or "") == CHAT
    assert first.raw.attempts[0].request == pretty.encode()
    assert (second.raw.state, second.raw.attempts) == ("ended", [])
    assert recording.losses() == {"internal:wire.finish": 1}


def test_sampled_out_and_disabled_programs_are_left_alone(recording: Recording, server: OpenAIServer) -> None:
    recording.configure(sample_rate=0.0)
    call(server.url)
    assert spans(recording.store) == []
    assert recorder.inside_trace() is False
