"""The real `litellm` against loopback servers of the providers it speaks to: each call once, whoever answered."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no download of prices, and none of tokenizers below

import litellm
import pytest
from anthropic_server import AnthropicServer
from cohere_server import CohereServer
from compatible_server import CompatibleServer
from loopback import Loopback
from mistral_server import MistralServer
from recording import Recording
from wire_journal import only, spans
from wire_rows import documents, row, rows, tokens

import spanreel

litellm.disable_hf_tokenizer_download = True
litellm.suppress_debug_info = True
logging.getLogger("LiteLLM").setLevel(logging.ERROR)

pytestmark = [
    pytest.mark.covers("LiteLLM", package="litellm"),
    pytest.mark.filterwarnings("ignore"),  # its own and its dependencies' deprecations are not ours to judge
]

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}]


class Case(NamedTuple):
    """A model as LiteLLM names it, who answers, and what is recorded of it."""

    model: str
    server: Callable[[], Loopback]
    path: str
    provider: str
    tokens: tuple[int | None, ...]
    options: dict[str, Any] = {}  # noqa: RUF012 - read only


CASES = [
    Case("openai/my-model", lambda: CompatibleServer("openai"), "/v1", "openai", (1200, 40, None, None, None)),
    Case("groq/moonshotai/kimi-k2-instruct", lambda: CompatibleServer("groq"), "/v1", "groq", (1200, 40, 1024, None, 16)),
    Case("hosted_vllm/Qwen/Qwen3-8B", lambda: CompatibleServer("vllm"), "/v1", "vllm", (1200, 40, 1024, None, None)),
    Case("together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo", lambda: CompatibleServer("together"), "/v1", "together", (1200, 40, 1024, None, None)),
    Case("fireworks_ai/accounts/fireworks/models/glm-5p1", lambda: CompatibleServer("fireworks"), "/v1", "fireworks", (1200, 40, 1024, None, None)),
    Case("azure/my-deployment", lambda: CompatibleServer("azure.ai.openai"), "", "azure.ai.openai", (1200, 40, 1024, None, 16), {"api_version": "2024-10-21"}),
    Case("mistral/mistral-medium-2505", MistralServer, "/v1", "mistral_ai", (120, 30, 64, None, None)),
    Case("anthropic/claude-sonnet-4-5", AnthropicServer, "", "anthropic", (2257, 93, 2048, 188, None)),
]  # fmt: skip


@pytest.fixture(params=CASES, ids=[case.provider for case in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def options(case: Case) -> Iterator[dict[str, Any]]:
    with case.server() as server:
        yield {"model": case.model, "api_base": server.url + case.path, "api_key": "sk-test", **case.options}


@pytest.fixture(params=["aiohttp", "httpx"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What LiteLLM's async client sends with: aiohttp inside httpx is its default."""
    monkeypatch.setattr(litellm, "disable_aiohttp_transport", request.param == "httpx")
    litellm.in_memory_llm_clients_cache.flush_cache()
    return str(request.param)


def check(recording: Recording, case: Case, *, stream: bool) -> None:
    llm = only(recording.store)
    name = case.model.partition("/")[2]
    assert (llm.call.provider, llm.call.request_model, llm.call.stream) == (case.provider, name, stream)
    assert llm.said == "You said: Hello"
    assert (llm.raw.status, llm.raw.state) == ("ok", "ended")
    found = row(recording.store)
    assert (found["provider"], found["request_model"]) == (case.provider, name)
    assert tokens(found) == case.tokens


@pytest.mark.parametrize("stream", [False, True])
def test_a_completion(recording: Recording, case: Case, options: dict[str, Any], stream: bool) -> None:
    """Completion, plain and streamed, of eight providers: recorded once, provider, model, text, usage."""
    if stream:
        options["stream_options"] = {"include_usage": True}
    with spanreel.span("root"):
        answer: Any = litellm.completion(messages=HELLO, stream=stream, **options)
        if stream:
            list(answer)
    check(recording, case, stream=stream)
    assert b"sk-test" not in recording.raw()


@pytest.mark.parametrize("stream", [False, True])
def test_an_async_completion(
    recording: Recording, case: Case, options: dict[str, Any], transport: str, stream: bool
) -> None:
    """Async completion over aiohttp (its default) and httpx: recorded once although one is inside the other."""
    if stream:
        options["stream_options"] = {"include_usage": True}

    async def main() -> None:
        with spanreel.span("root"):
            answer: Any = await litellm.acompletion(messages=HELLO, stream=stream, **options)
            if stream:
                async for _ in answer:
                    pass

    asyncio.run(main())
    check(recording, case, stream=stream)


def test_tools(recording: Recording, case: Case, options: dict[str, Any]) -> None:
    """Tool calls of eight providers: name and arguments, the finish reason."""
    with spanreel.span("root"):
        litellm.completion(messages=HELLO, tools=TOOLS, **options)
    call = only(recording.store).call
    calls = [part for part in call.output_messages[0]["parts"] if part["type"] == "tool_call"]
    assert {part["name"] for part in calls} == {"lookup"}
    assert call.finish_reasons == ("tool_call",)


@pytest.fixture
def compatible() -> Iterator[CompatibleServer]:
    with CompatibleServer("groq") as server:
        yield server


def test_a_rate_limit_that_is_retried(recording: Recording, compatible: CompatibleServer) -> None:
    """429 and LiteLLM's own retry: two attempts, one call in the view."""
    with spanreel.span("root"):
        litellm.completion(
            model="groq/limited",
            messages=HELLO,
            api_base=f"{compatible.url}/v1",
            api_key="sk-test",
            num_retries=2,
        )
    failed, answered = spans(recording.store, "llm")
    assert (failed.raw.error_type, answered.raw.status) == ("429", "ok")
    first, last = rows(recording.store)
    assert (first["duplicate_of"], last["attempts"]) == (last["span_id"], 2)


def test_a_server_error(recording: Recording, compatible: CompatibleServer) -> None:
    """500: LiteLLM's exception as it is, the provider's message recorded."""
    with spanreel.span("root"), pytest.raises(litellm.InternalServerError):
        litellm.completion(
            model="groq/broken",
            messages=HELLO,
            api_base=f"{compatible.url}/v1",
            api_key="sk-test",
            num_retries=0,
        )
    assert {span.raw.error_type for span in spans(recording.store, "llm")} == {"500"}


def test_embeddings_and_a_rerank_of_cohere(recording: Recording) -> None:
    """Embeddings and rerank through LiteLLM: tokens, search units, documents with scores."""
    with CohereServer() as server, spanreel.span("root"):
        litellm.embedding(
            model="cohere/embed-v4.0", input=["a", "b"], api_base=f"{server.url}/v2/embed", api_key="sk-test"
        )
        litellm.rerank(
            model="cohere/rerank-v3.5", query="q", documents=["a", "b"], api_base=f"{server.url}/v2/rerank", api_key="sk-test"
        )  # fmt: skip
    assert only(recording.store, "embedding").call.provider == "cohere"
    assert row(recording.store, "embedding")["input_tokens"] == 10
    assert row(recording.store, "rerank")["search_units"] == 1
    assert documents(recording.store) == [(0, "1", "b", 0.9), (1, "0", "a", 0.8)]


def test_parallel_async_calls(recording: Recording, compatible: CompatibleServer, transport: str) -> None:
    """Twenty async calls at once, half of them streams: each recorded once, with its own text."""
    options: dict[str, Any] = {
        "model": "groq/my-model", "api_base": f"{compatible.url}/v1", "api_key": "sk-test",
    }  # fmt: skip

    async def one(number: int) -> None:
        messages: list[Any] = [{"role": "user", "content": f"number {number}"}]
        answer: Any = await litellm.acompletion(messages=messages, stream=bool(number % 2), **options)
        if number % 2:
            async for _ in answer:
                pass

    async def main() -> None:
        with spanreel.span("root"):
            await asyncio.gather(*(one(number) for number in range(20)))

    asyncio.run(main())
    found = spans(recording.store, "llm")
    assert sorted(span.said for span in found) == sorted(f"You said: number {n}" for n in range(20))
    assert {span.call.provider for span in found} == {"groq"}
