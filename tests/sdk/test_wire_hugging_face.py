"""The real `huggingface_hub.InferenceClient` against a loopback server that speaks TGI's and TEI's formats."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import GenerationError, HfHubHTTPError, OverloadedError, ValidationError
from recording import Recording
from tgi_server import CHAT_USAGE, SAID, TGIServer
from wire_journal import only, spans
from wire_rows import documents, row, tokens, with_and_without

import spanreel
from spanreel.protocols.call import Usage

TGI = pytest.mark.covers("TGI /generate and /generate_stream", package="huggingface_hub")
CHAT = pytest.mark.covers("Hugging Face InferenceClient, chat", package="huggingface_hub")
TEI = pytest.mark.covers("Hugging Face embeddings and TEI", package="huggingface_hub")
pytestmark = [pytest.mark.sdk]

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}]


@pytest.fixture
def server() -> Iterator[TGIServer]:
    with TGIServer() as running:
        yield running


@TGI
@pytest.mark.parametrize("path", ["", "/", "/generate", "/hf-inference/models/owner/name"])
def test_generate(recording: Recording, server: TGIServer, path: str) -> None:
    """Generation at a model's URL, a server's root and /generate: prompt, parameters, text, tokens of the headers."""
    client = InferenceClient(server.url + path, token="hf_test")
    with spanreel.span("root"):
        said = client.text_generation(
            "Hello", max_new_tokens=5, temperature=0.5, top_k=40, seed=7, stop=["END"]
        )
    assert said == SAID
    llm = only(recording.store)
    call = llm.call
    assert (call.provider, call.operation) == ("tgi", "text_completion")
    assert call.request_model == ("owner/name" if "models" in path else None)
    assert call.parameters == {
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.seed": 7,
        "gen_ai.request.max_tokens": 5,
        "gen_ai.request.stop_sequences": ["END"],
    }
    assert call.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]
    assert call.output_messages == [{"role": "assistant", "parts": [{"type": "text", "content": SAID}]}]
    assert tokens(row(recording.store)) == (12, 5, None, None, None)
    assert b"hf_test" not in recording.raw()


@TGI
def test_details(recording: Recording, server: TGIServer) -> None:
    """Generation with details: finish reason, tokens of the details."""
    client = InferenceClient(f"{server.url}/generate")
    with spanreel.span("root"):
        client.text_generation("Hello", max_new_tokens=5, details=True)
    call = only(recording.store).call
    assert call.finish_reasons == ("stop",)
    assert call.usage == Usage(
        input_tokens=12, output_tokens=5, raw={"prompt_tokens": 12, "generated_tokens": 5}
    )


@TGI
@pytest.mark.parametrize("path", ["", "/generate_stream"])
def test_a_stream_of_tokens(recording: Recording, server: TGIServer, path: str) -> None:
    """A stream of tokens: the text without the model's own marks, finish reason, tokens, first token."""
    client = InferenceClient(server.url + path)
    with spanreel.span("root"):
        said = "".join(client.text_generation("Hello", stream=True))
    llm = only(recording.store)
    assert (said, llm.said) == (f"{SAID}</s>", SAID)
    assert (llm.call.stream, llm.call.finish_reasons, llm.call.output_started) == (True, ("stop",), True)
    assert llm.call.usage is not None
    assert (llm.call.usage.input_tokens, llm.call.usage.output_tokens) == (12, 5)
    assert llm.raw.first_ns is not None
    assert llm.response == server.bodies[0]


@TGI
@pytest.mark.parametrize(
    ("prompt", "error", "status"),
    [
        ("broken", GenerationError, "500"),
        ("invalid", ValidationError, "422"),
        ("busy", OverloadedError, "429"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors(
    recording: Recording, server: TGIServer, prompt: str, error: type[Exception], status: str, stream: bool
) -> None:
    """422, 429 and 500, plain and streamed: the SDK's exception as it is, TGI's message and type recorded."""
    client = InferenceClient(f"{server.url}/generate")
    with spanreel.span("root"), pytest.raises(error):
        answer: Any = client.text_generation(prompt, stream=stream)
        list(answer)
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type) == ("error", status)
    assert (llm.raw.error_message or "").endswith("]")


@TGI
def test_a_stream_that_is_cut(recording: Recording, server: TGIServer) -> None:
    """A stream cut in the middle: what came is kept, the error is the transport's."""
    client = InferenceClient(server.url)
    with spanreel.span("root"), pytest.raises(httpx2.RemoteProtocolError):
        list(client.text_generation("cut", stream=True))
    llm = only(recording.store)
    assert (llm.raw.status, llm.said, llm.call.output_started) == ("error", " Hello to", False)


@CHAT
@pytest.mark.parametrize("stream", [False, True])
def test_chat(recording: Recording, server: TGIServer, stream: bool) -> None:
    """Chat at TGI's /v1, plain and streamed: provider, model, text, usage."""
    client = InferenceClient(base_url=server.url)
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}
    with spanreel.span("root"):
        answer: Any = client.chat_completion(HELLO, max_tokens=20, stream=stream, **options)
        if stream:
            list(answer)
    llm = only(recording.store)
    assert server.requests[0].path == "/v1/chat/completions"
    assert (llm.call.provider, llm.call.response_model) == ("tgi", "meta-llama/Llama-3.1-8B-Instruct")
    assert (llm.said, llm.call.parameters["gen_ai.request.max_tokens"]) == ("You said: Hello", 20)
    assert llm.call.usage == Usage(input_tokens=1200, output_tokens=40, raw=CHAT_USAGE)


@CHAT
@pytest.mark.parametrize("stream", [False, True])
def test_tools_over_several_turns(recording: Recording, server: TGIServer, stream: bool) -> None:
    """Tool calls over two turns, plain and streamed."""
    client = InferenceClient(base_url=server.url)
    call = {
        "id": "call_0",
        "type": "function",
        "function": {"name": "lookup", "arguments": '{"key": "alpha"}'},
    }
    answer = {"role": "tool", "tool_call_id": "call_0", "content": "42"}
    with spanreel.span("root"):
        for messages in (HELLO, [*HELLO, {"role": "assistant", "tool_calls": [call]}, answer]):
            got: Any = client.chat_completion(messages, tools=TOOLS, stream=stream)
            if stream:
                list(got)
    asked, answered = (span.call for span in spans(recording.store, "llm"))
    assert [part["arguments"] for part in asked.output_messages[0]["parts"]] == [
        {"key": "alpha"},
        {"key": "beta"},
    ]
    assert answered.output_messages[0]["parts"][0]["content"] == "The tool said 42."


@CHAT
def test_chat_errors(recording: Recording, server: TGIServer) -> None:
    """500: the SDK's exception as it is, TGI's message recorded."""
    client = InferenceClient(base_url=server.url)
    with spanreel.span("root"), pytest.raises(HfHubHTTPError):
        client.chat_completion(HELLO, model="broken")
    assert only(recording.store).raw.error_message == "Slow down. [overloaded]"


@TEI
@pytest.mark.parametrize(
    ("path", "model", "provider"),
    [
        ("/embed", None, "tei"),
        ("/hf-inference/models/BAAI/bge-small-en-v1.5/pipeline/feature-extraction", "BAAI/bge-small-en-v1.5", "hugging_face"),
    ],
)  # fmt: skip
def test_embeddings(
    recording: Recording, server: TGIServer, path: str, model: str | None, provider: str
) -> None:
    """Embeddings of TEI and of the router's feature extraction: texts, count and length of the vectors, model."""
    client = InferenceClient(server.url + path)
    with spanreel.span("root"):
        assert client.feature_extraction("a").shape == (1, 8)
    call = only(recording.store, "embedding").call
    assert (call.provider, call.request_model) == (provider, model)
    assert call.input_messages[0]["parts"] == [{"type": "text", "content": "a"}]
    assert call.output_messages[0]["parts"] == [{"type": "embedding", "count": 1, "dimension": 8}]


@pytest.mark.covers("TEI rerank", package="httpx2")
def test_rerank_of_tei(recording: Recording, server: TGIServer) -> None:
    """Rerank of text-embeddings-inference: query, texts with scores in the order returned."""
    with spanreel.span("root"), httpx2.Client() as client:
        client.post(f"{server.url}/rerank", json={"query": "q", "texts": ["a", "b"], "raw_scores": False})
    call = only(recording.store, "rerank").call
    assert (call.provider, call.query, call.request_model) == ("tei", "q", None)
    assert documents(recording.store) == [(0, "1", "b", 0.9), (1, "0", "a", 0.8)]


@TGI
def test_parallel_async_calls(recording: Recording, server: TGIServer) -> None:
    """Twenty async calls at once, half of them streams: each recorded once, whole."""

    async def one(client: AsyncInferenceClient, number: int) -> None:
        if number % 2:
            await client.text_generation(f"number {number}")
            return
        async for _ in await client.text_generation(f"number {number}", stream=True):
            pass

    async def main() -> None:
        async with AsyncInferenceClient(server.url) as client:
            with spanreel.span("root"):
                await asyncio.gather(*(one(client, number) for number in range(20)))

    asyncio.run(main())
    found = spans(recording.store, "llm")
    asked = sorted(span.call.input_messages[0]["parts"][0]["content"] for span in found)
    assert asked == sorted(f"number {n}" for n in range(20))
    assert {span.said for span in found} == {SAID}


@TGI
def test_results_are_those_of_the_bare_client(recording: Recording, server: TGIServer) -> None:
    """Results, streams and exceptions are those of the bare client."""
    client = InferenceClient(server.url)

    def results() -> list[Any]:
        with pytest.raises(ValidationError) as raised:
            client.text_generation("invalid")
        return [
            client.text_generation("Hello", details=True),
            list(client.text_generation("Hello", stream=True, details=True)),
            client.chat_completion(HELLO), str(raised.value),
        ]  # fmt: skip

    with_hook, without = with_and_without(results)
    assert with_hook == without


def test_other_requests_to_a_root_are_none_of_ours(recording: Recording, server: TGIServer) -> None:
    """A request to a root with a body of another make is no call of a model."""
    with spanreel.span("root"), httpx2.Client() as client:
        for body in (
            {"inputs": "a"},
            {"inputs": ["a"], "parameters": {"stop": []}},
            {"inputs": "a", "parameters": {"x": 1}},
        ):
            client.post(server.url, json=body)
    assert spans(recording.store, "llm") == []
