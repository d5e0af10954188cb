"""Answers that are odd, long or torn, and contexts that end elsewhere: the call is recorded whole, the program is left alone."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from recording import Recording
from wire_journal import Recorded, only, spans

import spanreel
from spanreel import wire
from spanreel.wire import encodings

pytestmark = [pytest.mark.sdk, pytest.mark.covers("httpx", package="httpx")]

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
ANSWER: dict[str, Any] = {
    "id": "1",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
IMAGE = "iVBORw0KGgo" * 280_000
CHUNK = 65_536


@pytest.fixture(autouse=True)
def hooks() -> None:
    wire.install()


class Body(httpx.SyncByteStream):
    """A body that comes in pieces, as one off the network does."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __iter__(self) -> Any:
        for start in range(0, len(self.data), CHUNK):
            yield self.data[start : start + CHUNK]


class Pieces(httpx.SyncByteStream):
    """A body in pieces of one's own choice."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Any:
        yield from self.pieces


def ask(
    recording: Recording,
    answer: bytes,
    kind: str = "application/json",
    path: str = "/v1/chat/completions",
    request: dict[str, Any] | None = None,
) -> Recorded:
    headers = {"content-type": kind}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=Body(answer)))
    with spanreel.span("root"), httpx.Client(transport=transport) as client:
        assert client.post(f"http://test{path}", json=request or CHAT).content == answer
    return only(recording.store)


def tokens(llm: Recorded) -> tuple[int | None, int | None]:
    assert llm.call.usage is not None
    return llm.call.usage.input_tokens, llm.call.usage.output_tokens


@pytest.mark.parametrize(
    "answer",
    [
        b"\xef\xbb\xbf" + json.dumps(ANSWER).encode(),
        json.dumps({**ANSWER, "score": 0}).encode().replace(b'"score": 0', b'"score": 1e400'),
        json.dumps({**ANSWER, "score": 0}).encode().replace(b'"score": 0', b'"score": ' + b"9" * 5_000),
    ],
    ids=["byte order mark", "1e400", "5000 digits"],
)
def test_what_clients_read_is_read(recording: Recording, answer: bytes) -> None:
    """A byte order mark, a number beyond all bounds: usage and text as the client has them."""
    llm = ask(recording, answer)
    assert tokens(llm) == (3, 2)
    assert llm.said == "Hi."


def test_types_that_are_none(recording: Recording) -> None:
    """Events whose `type` is a list or an object cost nothing, not even the attempt."""
    events = [
        {"type": kind, "choices": [{"index": 1, "delta": {"content": "a"}, "finish_reason": "stop"}]}
        for kind in (["x"], {"a": 1}, None)
    ]
    data = (
        b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    )
    assert ask(recording, data, "text/event-stream").said == "aaa"
    assert recording.losses() == {}


def test_a_stream_without_a_byte_was_cut(recording: Recording) -> None:
    """An event stream that ends before its first event is an error, not an answer."""
    llm = ask(recording, b"", "text/event-stream; charset=utf-8", request={**CHAT, "stream": True})
    assert (llm.raw.status, llm.call.error_type) == ("error", "stream_cut")


def _responses() -> tuple[str, str, dict[str, Any], bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return f"event: {kind}\ndata: ".encode() + json.dumps({"type": kind, **fields}).encode() + b"\n\n"

    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Here."}]}
    response = {
        "id": "r",
        "model": "m",
        "status": "completed",
        "output": [{"type": "image_generation_call", "id": "i", "result": IMAGE}, said],
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
    }
    partial = event("response.image_generation_call.partial_image", partial_image_b64=IMAGE)
    data = event("response.created", response={"id": "r", "model": "m"}) + partial + partial
    request = {"model": "m", "input": "Draw.", "stream": True}
    return (
        "/v1/responses",
        "text/event-stream",
        request,
        data + event("response.completed", response=response),
    )


def _gemini(*, as_array: bool) -> tuple[str, str, dict[str, Any], bytes]:
    part = {"inlineData": {"mimeType": "image/png", "data": IMAGE}}
    first = {"candidates": [{"content": {"role": "model", "parts": [part, {"text": "Here."}]}}]}
    last = {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
    }
    path, request = "/v1beta/models/m:streamGenerateContent", {"contents": [{"parts": [{"text": "Draw."}]}]}
    if as_array:
        return path, "application/json", request, json.dumps([first, last]).encode()
    data = b"".join(b"data: " + json.dumps(item).encode() + b"\r\n\r\n" for item in (first, last))
    return path, "text/event-stream", request, data


def _ollama() -> tuple[str, str, dict[str, Any], bytes]:
    lines: list[dict[str, Any]] = [
        {"model": "m", "response": "x" * 500, "done": False} for _ in range(10_000)
    ]
    last = {"done_reason": "stop", "context": list(range(30_000)), "prompt_eval_count": 3, "eval_count": 2}
    lines[0]["response"] = "Here."
    lines.append({"model": "m", "response": "", "done": True, **last})
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return "/api/generate", "application/x-ndjson", {"model": "m", "prompt": "Say."}, data


@pytest.mark.parametrize(
    "make",
    [_responses, lambda: _gemini(as_array=True), lambda: _gemini(as_array=False), _ollama],
    ids=["responses", "gemini array", "gemini sse", "ollama context"],
)
def test_a_long_last_event_keeps_its_usage(
    recording: Recording, make: Callable[[], tuple[str, str, dict[str, Any], bytes]]
) -> None:
    """A stream of megabytes whose last event is long itself: tokens, end and text are there, the rest is short."""
    path, kind, request, data = make()
    assert len(data) > 4 << 20
    llm = ask(recording, data, kind, path, request)
    assert (tokens(llm), llm.call.error_type, llm.raw.status) == ((3, 2), None, "ok")
    assert llm.said.startswith("Here.")
    assert len(llm.response) < 5 << 20
    assert recording.losses() == {"wire_truncated": 1}


@pytest.mark.parametrize("capture", ["full", "none"])
def test_a_body_beyond_what_is_held_keeps_its_usage(
    recording: Recording, capture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embeddings of more megabytes than are held: model and tokens, which stand after them."""
    monkeypatch.setattr("spanreel.wire.body.HOLD", 100_000)
    monkeypatch.setattr("spanreel.wire.body.HOLD_LAST", 100_000)
    recording.configure(capture=capture)
    vectors = [{"object": "embedding", "index": n, "embedding": "AAAA" * 4_096} for n in range(40)]
    body = {
        "object": "list",
        "data": vectors,
        "model": "e-1",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Body(json.dumps(body).encode())))
    with spanreel.span("root"), httpx.Client(transport=transport) as client:
        client.post("http://test/v1/embeddings", json={"model": "e", "input": ["x"]})
    found = only(recording.store, "embedding")
    if capture == "full":
        assert found.call.usage is not None
        assert (found.call.usage.input_tokens, found.call.response_model) == (7, "e-1")
    else:
        assert found.raw.attributes["gen_ai.usage.input_tokens"] == 7
        assert found.raw.attributes["gen_ai.response.model"] == "e-1"


def test_a_model_with_a_slash_in_its_name(recording: Recording) -> None:
    """An inference profile's ARN, as Anthropic's client for Bedrock sends it."""
    model = "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4"
    path = f"/model/{model.replace('/', '%2F')}/invoke"
    request = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": CHAT["messages"]}
    answer = {"content": [{"type": "text", "text": "Hi."}], "usage": {"input_tokens": 3, "output_tokens": 2}}
    llm = ask(recording, json.dumps(answer).encode(), path=path, request=request)
    assert (llm.call.request_model, tokens(llm)) == (model, (3, 2))


def test_a_task_begun_below_a_send_is_its_own(recording: Recording) -> None:
    """A task that an event hook of the client starts lives on after the send: its calls are calls of their own."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=ANSWER))

    async def main() -> None:
        sent = asyncio.Event()
        tasks: list[asyncio.Task[None]] = []

        async def later() -> None:
            await sent.wait()
            async with httpx.AsyncClient(transport=transport) as client:
                await client.post("http://background/v1/chat/completions", json=CHAT)

        async def hook(_request: httpx.Request) -> None:
            tasks.append(asyncio.create_task(later()))

        async with httpx.AsyncClient(transport=transport, event_hooks={"request": [hook]}) as client:
            await client.post("http://test/v1/chat/completions", json=CHAT)
        sent.set()
        await tasks[0]

    with spanreel.span("root"):
        asyncio.run(main())
    hosts = {span.raw.attributes["server.address"] for span in spans(recording.store, "llm")}
    assert hosts == {"test", "background"}


def test_a_coroutine_thrown_away_elsewhere(recording: Recording) -> None:
    """A call whose coroutine is closed outside of its task: nothing is raised, nothing printed, the span ends."""

    class Hangs(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.get_running_loop().create_future()
            raise AssertionError(request)

    async def call() -> None:
        await httpx.AsyncClient(transport=Hangs()).post("http://test/v1/chat/completions", json=CHAT)

    loop = asyncio.new_event_loop()
    with spanreel.span("root"):
        coroutine = call()
        task = loop.create_task(coroutine)
        loop.call_soon(loop.stop)
        loop.run_forever()
        coroutine.close()  # in this context, where the send did not begin
        del coroutine
        task._log_destroy_pending = False  # type: ignore[attr-defined] # asyncio would print it, without us too
        del task
    loop.close()
    gc.collect()
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.attempts[0].meta["error_type"]) == ("error", "GeneratorExit")


def test_lines_that_are_not_kept_were_not_cut(recording: Recording) -> None:
    """Ollama's stream with no bodies captured: the answer was whole, and the row says so."""
    recording.configure(capture="none")
    lines = [
        {"model": "m", "response": "Hi.", "done": False},
        {"done": True, "prompt_eval_count": 3, "eval_count": 2},
    ]
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    llm = ask(recording, data, "application/x-ndjson", "/api/generate", {"model": "m", "prompt": "Hello"})
    assert (llm.raw.status, llm.call.error_type, llm.call.finish_reasons) == ("ok", None, ())
    assert llm.raw.attributes["gen_ai.usage.output_tokens"] == 2


@pytest.mark.parametrize("capture", ["metadata", "none"])
def test_no_word_of_a_conversation_in_the_parameters(recording: Recording, capture: str) -> None:
    """Stop sequences and the words of a refusal are text, too; the reason of the stop is none."""
    recording.configure(capture=capture)
    answer = {
        "content": [{"type": "text", "text": "PLANTED"}], "stop_reason": "refusal", "stop_sequence": "PLANTED",
        "stop_details": {"type": "refusal", "explanation": "PLANTED"},
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }  # fmt: skip
    request = {
        "model": "m", "max_tokens": 5, "system": "PLANTED", "stop_sequences": ["PLANTED"],
        "messages": [{"role": "user", "content": "PLANTED"}],
    }  # fmt: skip
    llm = ask(recording, json.dumps(answer).encode(), path="/v1/messages", request=request)
    assert b"PLANTED" not in recording.raw()
    assert llm.raw.attributes["gen_ai.response.finish_reasons"] == ["content_filter"]
    assert llm.raw.attributes["gen_ai.usage.output_tokens"] == 2


def test_few_bytes_that_stand_for_many(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed body is decoded up to a bound, in both ways that there are; what came before it is kept."""
    monkeypatch.setattr("spanreel.wire.encodings.MOST", 100_000)
    monkeypatch.setattr("spanreel.wire.httpx.MOST", 100_000)
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
    packed = gzip.compress(event + b": " + b"0" * 50_000_000)
    pieces = [packed[start : start + 200] for start in range(0, len(packed), 200)]
    decoded = encodings.decode("gzip", pieces)
    assert len(decoded) == len(pieces)
    assert b"".join(decoded).startswith(event)
    assert sum(map(len, decoded)) < 1_000_000
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=Pieces(pieces)))
    with (
        spanreel.span("root"),
        httpx.Client(transport=transport) as client,
        client.stream("POST", "http://test/v1/chat/completions", json=CHAT) as response,
    ):
        assert b"".join(response.iter_raw()) == packed
    llm = only(recording.store)
    assert llm.said == "a"
    assert len(llm.response) < 1_000_000


SECRET = "sk-proj-planted0123456789abcdefghijklmnopqrstuvwxyzABCDEF"


def test_a_secret_in_a_header_that_is_recorded(recording: Recording) -> None:
    """A key where none belongs: in the user agent, in a request's id."""
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, json=ANSWER, headers={"x-request-id": SECRET, "openai-version": "1"})
    )
    with spanreel.span("root"), httpx.Client(transport=transport) as client:
        headers = {"user-agent": f"mine {SECRET}", "openai-beta": "assistants=v2"}
        client.post("http://test/v1/chat/completions", json=CHAT, headers=headers)
    assert b"planted" not in recording.raw()
    meta = only(recording.store).meta
    assert meta["request_headers"]["openai-beta"] == "assistants=v2"
    assert meta["request_headers"]["user-agent"].startswith("mine [REDACTED")
    assert meta["response_headers"]["openai-version"] == "1"


@pytest.mark.parametrize("place", [4_040, 4_070, 4_095])
def test_a_secret_where_a_long_text_is_cut(recording: Recording, place: int) -> None:
    """Half of a key looks like none, so that the cut takes all of it; an image keeps its whole beginning."""
    texts = ["x" * 70_000, "z" * place + f" {SECRET} " + "z" * 5_000_000, "A" * 70_000]
    answer = {**ANSWER, "texts": texts}
    llm = ask(recording, json.dumps(answer).encode())
    assert b"planted" not in recording.raw()
    assert tokens(llm) == (3, 2)
    assert json.loads(llm.response)["texts"][2] == "A" * 4_096 + "[... 70000 characters]"
