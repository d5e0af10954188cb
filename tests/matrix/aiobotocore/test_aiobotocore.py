"""aiobotocore, whose pins of botocore are its own: Bedrock over aiohttp, plain, streamed, throttled, in parallel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from bedrock_server import BedrockServer
from recording import Recording
from wire_journal import only, spans
from wire_rows import rows, tokens

import spanreel
from spanreel import wire

pytestmark = pytest.mark.covers("Amazon Bedrock", package="aiobotocore")

HELLO: list[Any] = [{"role": "user", "content": [{"text": "Hello"}]}]
INCLUSIVE = (21 + 2048 + 188, 34, 2048, 188, None)


@pytest.fixture
def server() -> Iterator[BedrockServer]:
    running = BedrockServer()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def hooks() -> None:
    wire.install()


@asynccontextmanager
async def client_of(server: BedrockServer) -> AsyncIterator[Any]:
    config = AioConfig(retries={"total_max_attempts": 3, "mode": "standard"})
    async with get_session().create_client(
        "bedrock-runtime", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="AKIAPLANTEDPLANTED00",
        aws_secret_access_key="planted-secret", aws_session_token="planted-token", config=config,
    ) as client:  # fmt: skip
        yield client


def run(server: BedrockServer, body: Callable[[Any], Coroutine[Any, Any, Any]]) -> None:
    async def main() -> None:
        async with client_of(server) as client:
            with spanreel.span("root"):
                await body(client)

    asyncio.run(main())


def test_plain_streamed_and_left_early(recording: Recording, server: BedrockServer) -> None:
    """Converse and ConverseStream over aiohttp: bytes as they came, tokens inclusive, one stream left early."""

    async def body(client: Any) -> None:
        await client.converse(modelId="amazon.plain", messages=HELLO)
        response = await client.converse_stream(modelId="amazon.slow", messages=HELLO)
        assert [event async for event in response["stream"]]
        response = await client.converse_stream(modelId="amazon.slow", messages=HELLO)
        async for _ in response["stream"]:
            break
        response["stream"].close()

    run(server, body)
    plain, streamed, left = spans(recording.store, "llm")
    assert plain.said == streamed.said == "You said: Hello"
    assert plain.response == server.bodies[0]
    assert streamed.response == server.bodies[1]
    assert left.raw.state in {"ended", "abandoned"}
    assert left.raw.error_type is None
    assert [tokens(found) for found in rows(recording.store)][:2] == [INCLUSIVE] * 2
    assert b"planted" not in recording.raw()


def test_throttling_is_one_call(recording: Recording, server: BedrockServer) -> None:
    """429 twice, then the answer: aiobotocore's own attempts are one call."""

    async def body(client: Any) -> None:
        await client.converse(modelId="amazon.throttled", messages=HELLO)

    run(server, body)
    found = rows(recording.store)
    assert [item["error_type"] for item in found] == ["429", "429", None]
    assert [item["attempts"] for item in found] == [1, 2, 3]
    assert [item["duplicate_of"] for item in found] == [found[1]["span_id"], found[2]["span_id"], None]


def test_an_error_and_an_invoke(recording: Recording, server: BedrockServer) -> None:
    """A ValidationException, and InvokeModel's body read by the program."""

    async def body(client: Any) -> None:
        with pytest.raises(client.exceptions.ValidationException):
            await client.converse(modelId="amazon.invalid", messages=HELLO)
        response = await client.invoke_model(
            modelId="meta.llama3", body=b'{"prompt": "Hi", "max_gen_len": 9}'
        )
        assert b"Llama" in await response["body"].read()

    run(server, body)
    refused, invoked = spans(recording.store, "llm")
    assert (refused.raw.error_type, refused.raw.error_message) == (
        "400", "The provided model identifier is invalid. [ValidationException]",
    )  # fmt: skip
    assert invoked.said == "Hello from Llama."


def test_in_parallel(recording: Recording, server: BedrockServer) -> None:
    """Parallel calls keep their own parents and bytes."""

    async def work(client: Any, number: int) -> None:
        with spanreel.span(f"number {number}"):
            messages = [{"role": "user", "content": [{"text": f"number {number}"}]}]
            await client.converse(modelId="amazon.plain", messages=messages)

    async def body(client: Any) -> None:
        await asyncio.gather(*(work(client, number) for number in range(8)))

    run(server, body)
    names = {span.raw.span_id: span.raw.name for span in spans(recording.store, "span")}
    for call in spans(recording.store, "llm"):
        assert call.said == f"You said: {names[call.raw.parent_id or '']}"


def test_only_one_hook_records(recording: Recording, server: BedrockServer) -> None:
    """One span for one call, though botocore, aiohttp and urllib3 are all wrapped."""

    async def body(client: Any) -> None:
        await client.converse(modelId="amazon.plain", messages=HELLO)

    run(server, body)
    assert only(recording.store).meta["request_id"] == "req-1234"
