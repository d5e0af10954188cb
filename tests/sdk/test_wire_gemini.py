"""The real `google-genai` client against a loopback server: the Gemini API and Vertex AI, field by field."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from gemini_server import AUDIO, IMAGE, THOUGHTS, TOOL_USE, USAGE, GeminiServer
from google import genai
from google.auth.credentials import AnonymousCredentials
from google.genai import errors, types
from pydantic import BaseModel
from recording import Recording
from wire_journal import only, spans
from wire_rows import price, row, rows, tokens, with_and_without

import spanreel
from spanreel.protocols.call import Usage

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.covers("Gemini generateContent", package="google-genai"),
    pytest.mark.filterwarnings(
        "ignore:Inheritance class AiohttpClientSession:DeprecationWarning"
    ),  # the SDK's own
]

MODEL = "gemini-2.5-flash"
COST = price((1200 - 1024, 0.3), (1024, 0.03), (40, 2.5))
"""Google's list price of Gemini 2.5 Flash, US dollars for a million tokens."""
THINK = types.ThinkingConfig(include_thoughts=True, thinking_budget=512)


@pytest.fixture
def server() -> Iterator[GeminiServer]:
    with GeminiServer() as running:
        yield running


@pytest.fixture
def client(server: GeminiServer) -> Iterator[genai.Client]:
    with genai.Client(api_key="AIza-test", http_options=types.HttpOptions(base_url=server.url)) as made:
        yield made


@pytest.fixture
def vertex(server: GeminiServer) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=server.url)
    credentials: Any = AnonymousCredentials()
    credentials.token = "ya29.test"
    with genai.Client(
        vertexai=True, project="p", location="us-central1", credentials=credentials, http_options=options
    ) as made:
        yield made


@spanreel.trace
def ask(client: genai.Client, contents: Any = "Hello", *, model: str = MODEL, **config: Any) -> Any:
    return client.models.generate_content(
        model=model, contents=contents, config=types.GenerateContentConfig(**config)
    )


@spanreel.trace
def stream(client: genai.Client, contents: Any = "Hello", *, model: str = MODEL, **config: Any) -> list[Any]:
    settings = types.GenerateContentConfig(**config)
    return list(client.models.generate_content_stream(model=model, contents=contents, config=settings))


def test_a_plain_call(recording: Recording, client: genai.Client, server: GeminiServer) -> None:
    """generateContent: messages, system, parameters, finish reason, inclusive usage and the price, field by field."""
    answer = ask(
        client, system_instruction="Be kind.", temperature=0.25, top_p=0.9, top_k=40, max_output_tokens=50,
        stop_sequences=["END"], seed=7, presence_penalty=0.5, frequency_penalty=0.25,
    )  # fmt: skip
    assert answer.text == "You said: Hello"
    llm = only(recording.store)
    call = llm.call
    assert (llm.raw.name, llm.raw.kind, llm.raw.status) == (f"generate_content {MODEL}", "llm", "ok")
    assert llm.raw.attributes["gen_ai.provider.name"] == "gcp.gemini"
    assert (call.provider, call.operation, call.stream) == ("gcp.gemini", "generate_content", False)
    assert (call.request_model, call.response_model, call.response_id) == (MODEL, f"{MODEL}-001", "resp_1")
    assert call.parameters == {
        "gen_ai.request.temperature": 0.25,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.seed": 7,
        "gen_ai.request.presence_penalty": 0.5,
        "gen_ai.request.frequency_penalty": 0.25,
    }
    assert call.system_instructions == [{"type": "text", "content": "Be kind."}]
    assert call.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]
    said = {
        "role": "assistant",
        "parts": [{"type": "text", "content": "You said: Hello"}],
        "finish_reason": "stop",
    }
    assert call.output_messages == [said]
    assert call.usage == Usage(input_tokens=1200, output_tokens=40, cache_read_tokens=1024, raw=USAGE)
    assert llm.response == server.bodies[0]
    assert b"AIza-test" not in recording.raw()
    found = row(recording.store)
    assert tokens(found) == (1200, 40, 1024, None, None)
    assert (found["provider"], found["request_model"], found["finish_reason"]) == (
        "gcp.gemini",
        MODEL,
        "stop",
    )
    assert found["cost_usd"] == pytest.approx(COST, rel=1e-9)


def test_a_stream(recording: Recording, client: genai.Client, server: GeminiServer) -> None:
    """streamGenerateContent: the pieces as one text, the last chunk's usage, time to first token."""
    chunks = stream(client)
    assert "".join(chunk.text for chunk in chunks) == "You said: Hello"
    llm = only(recording.store)
    assert (llm.said, llm.call.stream, llm.raw.status) == ("You said: Hello", True, "ok")
    assert llm.call.usage == Usage(input_tokens=1200, output_tokens=40, cache_read_tokens=1024, raw=USAGE)
    assert (llm.call.finish_reasons, llm.call.response_id) == (("stop",), "resp_1")
    assert llm.response == server.bodies[0]
    found = row(recording.store)
    assert tokens(found) == (1200, 40, 1024, None, None)
    assert found["cost_usd"] == pytest.approx(COST, rel=1e-9)
    assert found["ttft_ms"] > 0


def test_thoughts_come_before_what_a_reader_sees(recording: Recording, client: genai.Client) -> None:
    """Streamed thoughts: a reasoning part, thoughts counted in output and as reasoning, first visible text later."""
    stream(client, model="slow", thinking_config=THINK)
    llm = only(recording.store)
    assert llm.call.output_messages[0]["parts"] == [
        {"type": "reasoning", "content": "The user greets me. Greet back."},
        {"type": "text", "content": "You said: Hello"},
    ]
    assert llm.call.usage is not None
    assert (llm.call.usage.output_tokens, llm.call.usage.reasoning_tokens) == (40 + THOUGHTS, THOUGHTS)
    assert llm.call.parameters["spanreel.request.thinking_budget"] == 512
    times = [llm.meta["start_ns"] + after for _, after in llm.meta["chunks"]]
    assert (llm.raw.first_ns, llm.call.first_visible_ns) == (times[0], times[6])  # six thoughts before
    assert tokens(row(recording.store)) == (1200, 62, 1024, None, THOUGHTS)


def test_the_price_of_thoughts(recording: Recording, client: genai.Client) -> None:
    """Thoughts are billed as output."""
    ask(client, thinking_config=THINK)
    assert row(recording.store)["cost_usd"] == pytest.approx(COST + price((THOUGHTS, 2.5)), rel=1e-9)


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


def test_functions_that_the_sdk_runs_itself(recording: Recording, client: genai.Client) -> None:
    """Automatic function calling: two parallel calls, their results and the answer, in two recorded turns."""
    answer = ask(client, "Where is it sunny?", tools=[weather])
    assert answer.text == "The tool said sunny in Paris."
    asked, answered = (span.call for span in spans(recording.store, "llm"))
    first = {
        "type": "tool_call", "name": "weather", "arguments": {"city": "Paris"}, "signature": "Q2xhdWRl",
    }  # fmt: skip
    second = {"type": "tool_call", "name": "weather", "arguments": {"city": "Rome"}}
    assert asked.output_messages[0]["parts"] == [first, second]
    assert asked.finish_reasons == ("tool_call",)
    (declared,) = asked.tool_definitions
    assert (declared["type"], declared["name"]) == ("function", "weather")
    assert declared["description"] == "Tell the weather of a city."
    assert declared["parameters"]["required"] == ["city"]
    assert answered.input_messages[1] == {"role": "assistant", "parts": [first, second]}
    results = answered.input_messages[2]["parts"]
    assert [(part["type"], part["name"], part["response"]) for part in results] == [
        ("tool_call_response", "weather", {"result": "sunny in Paris"}),
        ("tool_call_response", "weather", {"result": "sunny in Rome"}),
    ]
    assert answered.finish_reasons == ("stop",)


def test_streamed_functions(recording: Recording, client: genai.Client) -> None:
    """Streamed function calls end as tool_call, with the mode of calling that was asked for."""
    mode = types.ToolConfig(
        function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
    )
    off = types.AutomaticFunctionCallingConfig(disable=True)
    stream(client, tools=[weather], tool_config=mode, automatic_function_calling=off)
    call = only(recording.store).call
    assert [part["arguments"] for part in call.output_messages[0]["parts"]] == [
        {"city": "Paris"},
        {"city": "Rome"},
    ]
    assert call.finish_reasons == ("tool_call",)
    assert call.parameters["spanreel.request.tool_choice"] == {"mode": "ANY"}


@pytest.mark.parametrize("streamed", [False, True])
def test_code_that_google_ran(recording: Recording, client: genai.Client, streamed: bool) -> None:
    """Code execution: the code and its result as the server's tool, its tokens added to the input."""
    tools = [types.Tool(code_execution=types.ToolCodeExecution())]
    (stream if streamed else ask)(client, tools=tools)
    call = only(recording.store).call
    assert call.output_messages[0]["parts"] == [
        {
            "type": "server_tool_call", "name": "code_execution",
            "server_tool_call": {"type": "code_execution", "language": "PYTHON", "code": "print(6*7)"},
        },
        {
            "type": "server_tool_call_response",
            "server_tool_call_response": {"type": "code_execution", "outcome": "OUTCOME_OK", "output": "42\n"},
        },
        {"type": "text", "content": "It is 42."},
    ]  # fmt: skip
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.output_tokens) == (1200 + TOOL_USE, 40)
    assert call.tool_definitions == ({"type": "code_execution"},)


def test_a_search(recording: Recording, client: genai.Client) -> None:
    """Grounding with Google Search: sources kept; Gemini 2.5 bills the request, whatever the number of queries."""
    stream(client, tools=[types.Tool(google_search=types.GoogleSearch())])
    call = only(recording.store).call
    assert call.usage is not None
    assert call.usage.web_searches == 1
    assert call.parameters["spanreel.response.grounding"]["webSearchQueries"] == ["population paris", "paris"]


@pytest.mark.parametrize("streamed", [False, True])
def test_several_candidates(recording: Recording, client: genai.Client, streamed: bool) -> None:
    """Several candidates: a message and a finish reason each."""
    (stream if streamed else ask)(client, candidate_count=2)
    call = only(recording.store).call
    assert [message["parts"][0]["content"] for message in call.output_messages] == ["You said: Hello"] * 2
    assert call.finish_reasons == ("stop", "stop")
    assert call.parameters["gen_ai.request.choice.count"] == 2


class City(BaseModel):
    city: str
    people: int


def test_structured_output(recording: Recording, client: genai.Client) -> None:
    """Structured output: the schema asked for, and the JSON that came."""
    answer = ask(client, response_mime_type="application/json", response_schema=City)
    assert answer.parsed == City(city="Paris", people=2)
    call = only(recording.store).call
    assert call.parameters["gen_ai.output.type"] == "json"
    assert call.parameters["spanreel.request.response_format"]["required"] == ["city", "people"]
    assert json.loads(call.output_messages[0]["parts"][0]["content"]) == {"city": "Paris", "people": 2}


def test_media(recording: Recording, client: genai.Client) -> None:
    """Image, audio and file input with their tokens by modality."""
    contents = [
        types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png"),
        types.Part.from_bytes(data=b"RIFF", mime_type="audio/wav"),
        types.Part.from_uri(file_uri="https://example.org/a.pdf", mime_type="application/pdf"),
        "What is it?",
    ]
    ask(client, contents)
    call = only(recording.store).call
    assert [
        (part["type"], part.get("modality"), part.get("mime_type"))
        for part in call.input_messages[0]["parts"]
    ] == [
        ("blob", "image", "image/png"),
        ("blob", "audio", "audio/wav"),
        ("uri", "document", "application/pdf"),
        ("text", None, None),
    ]
    assert call.input_messages[0]["parts"][0]["content"] == "iVBORw=="
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.image_input_tokens, call.usage.audio_input_tokens) == (
        1200 + IMAGE + AUDIO, IMAGE, AUDIO,
    )  # fmt: skip
    expected = COST + price((IMAGE, 0.3), (AUDIO, 1.0))
    assert row(recording.store)["cost_usd"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("model", "reason"), [("blocked", "content_filter"), ("filtered", "content_filter"), ("long", "length")]
)
def test_finish_reasons(
    recording: Recording, client: genai.Client, model: str, reason: str, streamed: bool
) -> None:
    """A blocked prompt, a filtered answer and a limit end as content_filter and length, not as errors."""
    (stream if streamed else ask)(client, model=model)
    llm = only(recording.store)
    assert (llm.call.finish_reasons, llm.call.error_type, llm.raw.status) == ((reason,), None, "ok")
    assert bool(llm.call.output_messages) is (model != "blocked")
    if model == "blocked":
        assert llm.call.parameters["spanreel.response.block_reason"] == "PROHIBITED_CONTENT"
        assert tokens(row(recording.store))[:2] == (1200, 0)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("model", "status"), [("limited", "429"), ("overloaded", "503")])
def test_retries(recording: Recording, server: GeminiServer, model: str, status: str, streamed: bool) -> None:
    """429 and 503 with the SDK's own retry, which sends no header: linked as inferred, the call counts once."""
    retry = types.HttpRetryOptions(attempts=3, initial_delay=0.01, jitter=0.01)
    options = types.HttpOptions(base_url=server.url, retry_options=retry)
    with genai.Client(api_key="AIza-test", http_options=options) as client:
        (stream if streamed else ask)(client, model=model)
    failed, answered = spans(recording.store, "llm")
    assert (failed.raw.status, failed.raw.error_type) == ("error", status)
    assert answered.raw.attributes["spanreel.retry_of"] == failed.raw.span_id
    assert answered.raw.attributes["spanreel.retry_inferred"] is True
    first, last = rows(recording.store)
    assert (first["duplicate_of"], last["duplicate_of"], last["attempts"]) == (last["span_id"], None, 2)
    assert tokens(last)[:2] == (1200, 40)


@pytest.mark.parametrize(
    ("model", "error", "status"),
    [
        ("unauthorised", errors.ClientError, "401"),
        ("refused", errors.ClientError, "400"),
        ("always-limited", errors.ClientError, "429"),
        ("broken", errors.ServerError, "500"),
        ("always-overloaded", errors.ServerError, "503"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_errors(
    recording: Recording,
    client: genai.Client,
    model: str,
    error: type[errors.APIError],
    status: str,
    streamed: bool,
) -> None:
    """401, 400, 429, 500 and 503 that stay: the SDK's own exception, the status and Google's words on the span."""
    with pytest.raises(error) as raised:
        (stream if streamed else ask)(client, model=model)
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type, llm.call.error_type) == ("error", status, status)
    assert llm.raw.error_message == f"{raised.value.message} [{raised.value.status}]"
    assert (llm.call.finish_reasons, llm.call.output_messages, llm.call.usage) == (("error",), [], None)


@pytest.mark.parametrize(
    ("model", "error"),
    [("cut", "httpx2.RemoteProtocolError"), ("short", "stream_cut"), ("error-in-stream", "503")],
)
def test_a_stream_that_is_cut(recording: Recording, client: genai.Client, model: str, error: str) -> None:
    """A stream cut by a reset, by a clean end without its last chunk, or by an error chunk: error, with what came."""
    with contextlib.suppress(httpx2.RemoteProtocolError, errors.APIError):
        stream(client, "How are you today?", model=model)
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type, llm.call.finish_reasons) == ("error", error, ("error",))
    assert llm.said.startswith("You said: Ho")
    if error != "503":  # told by the stream itself, which its client then closed
        assert llm.call.output_started is False


def test_a_reader_that_leaves_early(recording: Recording, client: genai.Client) -> None:
    """A break out of a stream is no error: the text so far is kept."""
    with spanreel.span("root"):
        chunks: Any = client.models.generate_content_stream(model="slow", contents="Hello")
        assert next(chunks).text == "You sa"
        chunks.close()
        del chunks
    llm = only(recording.store)
    assert (llm.call.error_type, llm.said) == (None, "You sa")
    assert (llm.raw.status, llm.raw.error_type) in {("ok", None), ("unset", None)}


@pytest.mark.parametrize("transport", ["aiohttp", "httpx2"])
def test_eight_calls_at_once(recording: Recording, server: GeminiServer, transport: str) -> None:
    """Eight parallel async calls, half streamed, over aiohttp and httpx2: own span, parent, text and tokens each."""

    @spanreel.trace
    async def one(client: Any, number: int) -> str:
        contents = f"number {number}"
        if number % 2:
            chunks = await client.aio.models.generate_content_stream(model=MODEL, contents=contents)
            return "".join([chunk.text async for chunk in chunks])
        answer = await client.aio.models.generate_content(model=MODEL, contents=contents)
        return str(answer.text)

    async def everything() -> list[str]:
        options = types.HttpOptions(base_url=server.url)
        async with httpx2.AsyncClient() as transporter:
            if transport == "httpx2":
                options.httpx_async_client = transporter
            client = genai.Client(api_key="AIza-test", http_options=options)
            try:
                return await asyncio.gather(*(one(client, number) for number in range(8)))
            finally:
                await client.aio.aclose()
                client.close()

    said = asyncio.run(everything())
    assert said == [f"You said: number {number}" for number in range(8)]
    found = spans(recording.store)
    parents = {span.raw.span_id for span in found if span.raw.kind == "chain"}
    calls = [span for span in found if span.raw.kind == "llm"]
    assert sorted(span.said for span in calls) == sorted(said)
    assert len({span.raw.parent_id for span in calls} & parents) == 8
    assert {tokens(item) for item in rows(recording.store)} == {(1200, 40, 1024, None, None)}


def test_embeddings(recording: Recording, client: genai.Client) -> None:
    """batchEmbedContents of the Gemini API: texts, number and length of the vectors; Google tells no tokens there."""
    texts: Any = ["a", "b"]
    with spanreel.span("root"):
        client.models.embed_content(
            model="gemini-embedding-001", contents=texts,
            config=types.EmbedContentConfig(task_type="RETRIEVAL_QUERY", output_dimensionality=4),
        )  # fmt: skip
    span = only(recording.store, "embedding")
    assert (span.raw.name, span.call.provider) == ("embeddings gemini-embedding-001", "gcp.gemini")
    assert [part["content"] for part in span.call.input_messages[0]["parts"]] == ["a", "b"]
    assert span.call.output_messages[0]["parts"] == [{"type": "embedding", "count": 2, "dimension": 4}]
    assert span.call.parameters == {
        "gen_ai.embeddings.dimension.count": 4,
        "spanreel.request.task_type": "RETRIEVAL_QUERY",
    }
    assert span.call.usage is None


@pytest.mark.covers("Gemini on Vertex AI", package="google-genai")
def test_vertex(recording: Recording, vertex: genai.Client) -> None:
    """Vertex AI paths, plain and streamed: provider gcp.vertex_ai, the model of the path, the same usage and price."""
    ask(vertex)
    stream(vertex)
    for span in spans(recording.store, "llm"):
        assert (span.call.provider, span.call.request_model) == ("gcp.vertex_ai", MODEL)
        assert span.raw.attributes["gen_ai.provider.name"] == "gcp.vertex_ai"
        assert span.said == "You said: Hello"
    for found in rows(recording.store):
        assert tokens(found) == (1200, 40, 1024, None, None)
        assert found["cost_usd"] == pytest.approx(COST, rel=1e-9)
    assert b"ya29.test" not in recording.raw()


@pytest.mark.covers("Gemini on Vertex AI", package="google-genai")
@pytest.mark.parametrize(
    ("model", "method", "count"),
    [("text-embedding-005", "predict", 6), ("gemini-embedding-2", "embedContent", 6)],
)
def test_vertex_embeddings(
    recording: Recording, vertex: genai.Client, server: GeminiServer, model: str, method: str, count: int
) -> None:
    """Vertex AI's two ways to embed: texts, vectors and tokens."""
    texts: Any = ["a", "b"] if method == "predict" else "a"
    with spanreel.span("root"):
        vertex.models.embed_content(
            model=model, contents=texts, config=types.EmbedContentConfig(output_dimensionality=4)
        )
    assert server.requests[-1].path.endswith(f"{model}:{method}")
    span = only(recording.store, "embedding")
    assert (span.call.provider, span.call.request_model) == ("gcp.vertex_ai", model)
    assert [part["content"] for part in span.call.input_messages[0]["parts"]] == list(texts)
    assert span.call.output_messages[0]["parts"][0]["dimension"] == 4
    assert span.call.usage is not None
    assert span.call.usage.input_tokens == count


def test_a_stream_without_alt_sse(recording: Recording, server: GeminiServer) -> None:
    """A stream as one JSON array, as Google sends it without alt=sse: the same call, timed element by element."""
    url = f"{server.url}/v1beta/models/slow:streamGenerateContent"
    body = {
        "contents": [{"parts": [{"text": "Hello"}]}],
        "system_instruction": {"parts": [{"text": "Be kind."}]},
    }
    with spanreel.span("root"), httpx2.Client() as client, client.stream("POST", url, json=body) as response:
        assert json.loads(response.read())[0]["candidates"]
    llm = only(recording.store)
    assert (llm.said, llm.call.stream, llm.call.finish_reasons) == ("You said: Hello", True, ("stop",))
    assert llm.call.system_instructions == [{"type": "text", "content": "Be kind."}]
    assert llm.call.usage == Usage(input_tokens=1200, output_tokens=40, cache_read_tokens=1024, raw=USAGE)
    assert llm.raw.first_ns == llm.meta["start_ns"] + llm.meta["chunks"][0][1]
    assert llm.response == server.bodies[0]


def test_counting_tokens_is_no_call(recording: Recording, client: genai.Client) -> None:
    """countTokens is not recorded as a call."""
    with spanreel.span("root"):
        assert client.models.count_tokens(model=MODEL, contents="Hello").total_tokens == 7
    assert spans(recording.store, "llm") == []


def test_results_are_those_of_the_bare_client(recording: Recording, client: genai.Client) -> None:
    """Answers, stream chunks and exceptions are identical with and without recording."""

    def seen(answer: Any) -> Any:
        return answer.model_dump(exclude={"sdk_http_response"})

    def results() -> list[Any]:
        models: Any = client.models
        plain = models.generate_content(model=MODEL, contents="Hello")
        streamed = list(models.generate_content_stream(model=MODEL, contents="Hello"))
        with pytest.raises(errors.ClientError) as raised:
            models.generate_content(model="refused", contents="Hello")
        return [seen(plain), *map(seen, streamed), str(raised.value), raised.value.details]

    with_hook, without = with_and_without(results)
    assert with_hook == without
    assert len(spans(recording.store, "llm")) == 3
