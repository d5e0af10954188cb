"""The real `openai` client against servers that speak its API each in its own way: who it was, and what it counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from compatible_server import FLAVOURS, SOURCES, THOUGHT, CompatibleServer
from recording import Recording
from wire_journal import only, spans
from wire_rows import documents, price, row, rows, tokens, with_and_without

import spanreel

SYSTEMS = {
    "azure.ai.openai": "Azure OpenAI",
    "deepseek": "DeepSeek",
    "fireworks": "Fireworks (OpenAI-compatible)",
    "groq": "Groq (OpenAI-compatible)",
    "litellm": "LiteLLM proxy",
    "llama_cpp": "llama.cpp server",
    "lm_studio": "LM Studio",
    "openrouter": "OpenRouter",
    "perplexity": "Perplexity",
    "sglang": "SGLang",
    "tgi": "TGI /v1",
    "together": "Together (OpenAI-compatible)",
    "vllm": "vLLM",
    "x_ai": "xAI",
}
COUNTS: dict[str, tuple[int | None, ...]] = {
    # input, output, cache read, cache write, reasoning: inclusive
    "azure.ai.openai": (1200, 40, 1024, None, 16),
    "deepseek": (1200, 40, 1024, None, 16),
    "fireworks": (1200, 40, 1024, None, None),
    "groq": (1200, 40, 1024, None, 16),
    "openrouter": (1200, 40, 1024, None, 16),
    "sglang": (1200, 40, None, None, 0),
    "together": (1200, 40, 1024, None, None),
    "vllm": (1200, 40, 1024, None, None),
    "x_ai": (1200, 24 + 16, 1024, None, 16),
}
REPORTED = {"x_ai": 0.0037756, "openrouter": 0.0123, "perplexity": 0.0102}
SEARCHES = {"x_ai": 3, "openrouter": 1, "perplexity": 3}
THINKERS = [name for name, flavour in FLAVOURS.items() if flavour.reasoning]
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}]

covered = [
    pytest.param(name, marks=pytest.mark.covers(system, package="openai"), id=name)
    for name, system in SYSTEMS.items()
]
pytestmark = [pytest.mark.sdk]


@pytest.fixture
def server(flavour: str) -> Iterator[CompatibleServer]:
    with CompatibleServer(flavour) as running:
        yield running


@pytest.fixture
def client(flavour: str, server: CompatibleServer) -> Iterator[openai.OpenAI]:
    if flavour == "azure.ai.openai":
        azure = openai.AzureOpenAI(
            azure_endpoint=server.url,
            api_key="sk-test",
            api_version="2024-10-21",
            azure_deployment="my-deployment",
        )
        with azure:
            yield azure
        return
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="sk-test") as made:
        yield made


def ask(client: openai.OpenAI, model: str, *, stream: bool = False, **options: Any) -> None:
    if stream:
        options["stream_options"] = {"include_usage": True}
    with spanreel.span("root"):
        answer = client.chat.completions.create(
            model=model, messages=options.pop("messages", HELLO), stream=stream, **options
        )
        if stream:
            list(answer)


@pytest.mark.parametrize("flavour", covered)
@pytest.mark.parametrize("stream", [False, True])
def test_who_answered_and_what_it_counted(
    recording: Recording, client: openai.OpenAI, server: CompatibleServer, flavour: str, stream: bool
) -> None:
    """Chat, plain and streamed: provider told on loopback, model, text, usage inclusive, reported cost, searches."""
    ask(client, "my-model", stream=stream, temperature=0.5)
    llm = only(recording.store)
    call = llm.call
    assert call.provider == flavour
    assert (call.request_model, call.response_model) == ("my-model", server.flavour.model)
    assert call.parameters["gen_ai.request.temperature"] == 0.5
    assert llm.said == "You said: Hello"
    assert (call.finish_reasons, call.stream) == (("stop",), stream)
    assert (call.error_type, call.output_started, llm.raw.status) == (None, True, "ok")
    assert call.usage is not None
    assert call.usage.raw == server.flavour.usage
    assert llm.response == server.bodies[0]
    found = row(recording.store)
    assert (found["provider"], found["response_model"]) == (flavour, server.flavour.model)
    assert tokens(found) == COUNTS.get(flavour, (1200, 40, None, None, None))
    assert found["web_searches"] == SEARCHES.get(flavour)
    if flavour in REPORTED:
        assert (found["cost_usd"], found["cost_source"]) == (pytest.approx(REPORTED[flavour]), "reported")


COSTS = {
    "groq": price((176, 1), (1024, 0.5), (40, 3)),
    "fireworks": price((176, 1.4), (1024, 0.26), (40, 4.4)),
    "azure.ai.openai": price((176, 0.15), (1024, 0.075), (40, 0.6)),
    "together": price((1200, 0.88), (40, 0.88)),
}
"""What genai-prices asks for the models of `FLAVOURS`, US dollars for a million tokens."""


@pytest.mark.parametrize("flavour", [param for param in covered if param.id in COSTS])
def test_costs_by_the_price_book(
    recording: Recording, client: openai.OpenAI, server: CompatibleServer, flavour: str
) -> None:
    """The cost by the price book of the provider that was told."""
    ask(client, server.flavour.model)
    found = row(recording.store)
    assert found["cost_usd"] == pytest.approx(COSTS[flavour], rel=1e-9)
    assert found["cost_source"].startswith("book:genai-prices")


@pytest.mark.parametrize("flavour", [param for param in covered if param.id in THINKERS])
@pytest.mark.parametrize("stream", [False, True])
def test_thinking(recording: Recording, client: openai.OpenAI, flavour: str, stream: bool) -> None:
    """Thinking, in the field that the provider has for it: a reasoning part before the text; first visible token."""
    ask(client, "my-model", stream=stream)
    llm = only(recording.store)
    assert llm.call.output_messages[0]["parts"] == [
        {"type": "reasoning", "content": THOUGHT},
        {"type": "text", "content": "You said: Hello"},
    ]
    if stream:
        assert llm.raw.first_ns is not None
        assert llm.call.first_visible_ns is not None
        assert llm.call.first_visible_ns > llm.raw.first_ns


@pytest.mark.parametrize("flavour", covered)
@pytest.mark.parametrize("stream", [True])
def test_tools_over_several_turns(
    recording: Recording, client: openai.OpenAI, flavour: str, stream: bool
) -> None:
    """Tool calls over two turns, plain and streamed: parallel calls, their answers, the last text."""
    calls: list[Any] = [
        {
            "id": f"call_{n}",
            "type": "function",
            "function": {"name": "lookup", "arguments": f'{{"key": "{key}"}}'},
        }
        for n, key in enumerate(("alpha", "beta"))
    ]
    answers: list[Any] = [{"role": "tool", "tool_call_id": call["id"], "content": "42"} for call in calls]
    ask(client, "my-model", stream=stream, tools=TOOLS)
    ask(
        client, "my-model", stream=stream, tools=TOOLS,
        messages=[*HELLO, {"role": "assistant", "content": None, "tool_calls": calls}, *answers],
    )  # fmt: skip
    asked, answered = (span.call for span in spans(recording.store, "llm"))
    parts = [
        {"type": "tool_call", "id": f"call_{n}", "name": "lookup", "arguments": {"key": key}}
        for n, key in enumerate(("alpha", "beta"))
    ]
    said = [part for part in asked.output_messages[0]["parts"] if part["type"] == "tool_call"]
    assert (said, asked.finish_reasons) == (parts, ("tool_call",))
    assert answered.input_messages[1]["parts"] == parts
    assert answered.input_messages[3]["parts"] == [
        {"type": "tool_call_response", "id": "call_1", "response": "42"}
    ]
    assert answered.output_messages[0]["parts"][-1] == {"type": "text", "content": "The tool said 42."}


@pytest.mark.parametrize("flavour", [param for param in covered if param.id in {"perplexity", "x_ai"}])
@pytest.mark.parametrize("stream", [False, True])
def test_sources_of_searching_models(
    recording: Recording, client: openai.OpenAI, flavour: str, stream: bool
) -> None:
    """What the provider's own search found are the call's documents, in order."""
    ask(client, "my-model", stream=stream)
    shown = [source["snippet"] if flavour == "perplexity" else None for source in SOURCES]
    assert documents(recording.store) == [
        (place, source["url"], shown[place], None) for place, source in enumerate(SOURCES)
    ]


@pytest.mark.parametrize("flavour", [param for param in covered if param.id == "openrouter"])
@pytest.mark.parametrize("stream", [False, True])
def test_whom_a_router_chose(recording: Recording, client: openai.OpenAI, flavour: str, stream: bool) -> None:
    """The provider that OpenRouter sent the call to, and its id for the generation."""
    ask(client, "my-model", stream=stream)
    call = only(recording.store).call
    assert call.parameters["openrouter.provider"] == "Anthropic"
    assert call.response_id == "gen-1756379012-XyZ"


@pytest.mark.parametrize("flavour", [param for param in covered if param.id == "azure.ai.openai"])
def test_azure_deployments(
    recording: Recording, client: openai.OpenAI, server: CompatibleServer, flavour: str
) -> None:
    """Azure's deployment paths: the deployment is the model asked for; embeddings and responses are Azure's, too."""
    with spanreel.span("root"):
        client.embeddings.create(model="my-deployment", input="a")
    assert server.requests[0].path == "/openai/deployments/my-deployment/embeddings"
    span = only(recording.store, "embedding")
    assert (span.call.provider, span.call.request_model) == ("azure.ai.openai", "my-deployment")
    assert "api-version" not in span.meta["url"]


@pytest.mark.parametrize("flavour", covered)
def test_a_rate_limit_that_is_retried(
    recording: Recording, client: openai.OpenAI, server: CompatibleServer, flavour: str
) -> None:
    """429 and the SDK's own retry: the provider's message, two attempts, one call in the view."""
    ask(client, "limited")
    failed, answered = spans(recording.store, "llm")
    assert failed.raw.error_type == "429"
    assert (failed.raw.error_message or "").startswith("Slow down.")
    assert answered.raw.attributes["spanreel.retry_of"] == failed.raw.span_id
    first, last = rows(recording.store)
    assert first["duplicate_of"] == last["span_id"]
    assert last["attempts"] == 2


@pytest.mark.parametrize("flavour", covered)
def test_a_stream_that_is_cut(recording: Recording, client: openai.OpenAI, flavour: str) -> None:
    """A stream cut in the middle: what came is kept, the error is the transport's."""
    with pytest.raises((httpx2.RemoteProtocolError, openai.APIError)):
        ask(client, "cut", stream=True)
    llm = only(recording.store)
    assert llm.raw.status == "error"
    assert llm.call.output_started is False
    assert "You said: Hello".startswith(llm.said)


@pytest.mark.parametrize("flavour", [param for param in covered if param.id in {"groq", "vllm", "x_ai"}])
def test_parallel_async_calls(recording: Recording, server: CompatibleServer, flavour: str) -> None:
    """Ten async calls at once, half of them streams: each with its own text, all with the right provider."""

    async def one(client: openai.AsyncOpenAI, number: int) -> None:
        messages: list[Any] = [{"role": "user", "content": f"number {number}"}]
        if not number % 2:
            await client.chat.completions.create(model="my-model", messages=messages)
            return
        async for _ in await client.chat.completions.create(model="my-model", messages=messages, stream=True):
            pass

    async def main() -> None:
        made: openai.AsyncOpenAI = openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="sk-test")
        async with made as client:
            with spanreel.span("root"):
                await asyncio.gather(*(one(client, number) for number in range(10)))

    asyncio.run(main())
    found = spans(recording.store, "llm")
    assert sorted(span.said for span in found) == sorted(f"You said: number {n}" for n in range(10))
    assert {span.call.provider for span in found} == {flavour}


@pytest.mark.parametrize("flavour", covered)
def test_results_are_those_of_the_bare_client(
    recording: Recording, client: openai.OpenAI, flavour: str
) -> None:
    """Results, streams and exceptions are those of the bare client."""

    def results() -> list[Any]:
        bare = client.with_options(max_retries=0)
        with pytest.raises(openai.InternalServerError) as raised:
            bare.chat.completions.create(model="broken", messages=HELLO)
        return [
            client.chat.completions.create(model="my-model", messages=HELLO),
            list(client.chat.completions.create(model="my-model", messages=HELLO, stream=True)),
            raised.value.body, str(raised.value),
        ]  # fmt: skip

    with_hook, without = with_and_without(results)
    assert with_hook == without


@pytest.mark.parametrize("flavour", ["openai"])
@pytest.mark.covers("OpenAI-compatible server of any other make", package="openai")
def test_a_server_that_leaves_no_sign(recording: Recording, client: openai.OpenAI, flavour: str) -> None:
    """A server that shows nothing of who it is goes by the protocol's name."""
    ask(client, "my-model")
    assert only(recording.store).call.provider == "openai"


@pytest.mark.parametrize("flavour", [param for param in covered if param.id in {"groq", "x_ai"}])
def test_a_provider_told_without_bodies(recording: Recording, client: openai.OpenAI, flavour: str) -> None:
    """With no bodies captured: the provider told from the answer, usage and cost all the same, no word of text."""
    recording.configure(capture="metadata")
    ask(client, "my-model", stream=True)
    found = row(recording.store)
    assert (found["provider"], tokens(found)) == (flavour, COUNTS[flavour])
    assert found["cost_usd"] == (
        pytest.approx(REPORTED[flavour]) if flavour in REPORTED else found["cost_usd"]
    )
    assert b"You said" not in recording.raw()
