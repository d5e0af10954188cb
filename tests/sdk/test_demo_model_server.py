"""The bundled model server, driven by the real openai client."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from spanreel_demo import embedding
from spanreel_demo.model_server import Fault, ModelServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.chat import ChatCompletionChunk

pytestmark = pytest.mark.sdk

Messages = list[Any]
DOCUMENT = '<document id="policies/pets">\nDogs up to {kilos} kg may ride in the box.\n</document>'
QUESTION: Messages = [{"role": "user", "content": DOCUMENT.format(kilos=31) + "\n\nQuestion: May dogs ride?"}]
ANSWER = "Dogs up to 31 kg may ride in the box. [policies/pets]"


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(pace=0) as running:
        yield running


@pytest.fixture
def client(server: ModelServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="test") as made:
        yield made


def complete(client: OpenAI, messages: Messages = QUESTION, model: str = "gpt-4o-mini", **more: Any) -> Any:
    """The answer as plain dictionaries, after the client's own types have accepted it."""
    return client.chat.completions.create(model=model, messages=messages, **more).to_dict()


def ask(client: OpenAI, messages: Messages, **more: Any) -> str:
    return str(complete(client, messages, **more)["choices"][0]["message"]["content"])


def stream(client: OpenAI, **more: Any) -> openai.Stream[ChatCompletionChunk]:
    chunks: openai.Stream[ChatCompletionChunk] = client.chat.completions.create(
        model="gpt-4o-mini", messages=QUESTION, stream=True, stream_options={"include_usage": True}, **more
    )
    return chunks


def test_the_answer_is_made_of_the_documents(client: OpenAI) -> None:
    assert ask(client, QUESTION) == ANSWER
    changed = [{"role": "user", "content": DOCUMENT.format(kilos=44) + "\n\nQuestion: May dogs ride?"}]
    assert "44 kg" in ask(client, changed)
    assert "could not find" in ask(client, [{"role": "user", "content": "May dogs ride?"}])


def test_a_stream_says_the_same_and_ends_with_the_usage(client: OpenAI) -> None:
    whole = complete(client)
    chunks: list[Any] = [chunk.to_dict() for chunk in stream(client)]
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert text == whole["choices"][0]["message"]["content"] == ANSWER
    assert len(chunks) > 5
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    assert chunks[0]["model"] == "gpt-4o-mini-2024-07-18"


def test_reasoning_tokens_are_part_of_the_output(client: OpenAI) -> None:
    usage = complete(client, model="o4-mini")["usage"]
    thought = usage["completion_tokens_details"]["reasoning_tokens"]
    assert thought >= 64
    assert thought % 64 == 0
    assert usage["completion_tokens"] > thought


def test_a_prompt_seen_before_is_cached_in_steps(client: OpenAI) -> None:
    long = [{"role": "system", "content": "rule " * 2000}, *QUESTION]
    first, second = (complete(client, long)["usage"] for _ in range(2))
    cached = second["prompt_tokens_details"]["cached_tokens"]
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert 1024 <= cached <= second["prompt_tokens"] == first["prompt_tokens"]
    assert cached % 128 == 0


def test_an_answer_is_cut_at_its_limit(client: OpenAI) -> None:
    choice = complete(client, max_tokens=4)["choices"][0]
    assert choice["finish_reason"] == "length"
    assert 0 < len(choice["message"]["content"]) < len(ANSWER)
    assert ANSWER.startswith(choice["message"]["content"])


def test_tools_are_called_with_arguments_from_the_conversation(client: OpenAI) -> None:
    tool = {
        "type": "function",
        "function": {
            "name": "find_dog",
            "description": "Find where the dog is now",
            "parameters": {
                "type": "object",
                "properties": {"tag": {"type": "string", "pattern": r"^DOG-\d+$"}},
                "required": ["tag"],
            },
        },
    }
    messages = [{"role": "user", "content": "Find my dog, the tag is DOG-77"}]
    message = complete(client, messages, tools=[tool])["choices"][0]["message"]
    call = message["tool_calls"][0]
    assert call["function"]["name"] == "find_dog"
    assert json.loads(call["function"]["arguments"]) == {"tag": "DOG-77"}
    result = {"role": "tool", "tool_call_id": call["id"], "content": '{"place": "under the table"}'}
    said = ask(client, [*messages, message, result], tools=[tool])
    assert said == "Find dog: place under the table."
    assert "could not find" in ask(client, [{"role": "user", "content": "Find my dog"}], tools=[tool])


def test_structured_output_fits_its_schema(client: OpenAI) -> None:
    class Report(BaseModel):
        wet: bool
        words: list[str]
        headline: str
        sources: int

    completion = client.chat.completions.parse(model="gpt-4o-mini", messages=QUESTION, response_format=Report)
    assert completion.choices[0].message.parsed == Report(
        wet=False, words=["dogs ride"], headline="May dogs ride?", sources=1
    )


def test_like_texts_have_close_embeddings(client: OpenAI) -> None:
    answer = client.embeddings.create(
        model=embedding.MODEL,
        input=["dogs ride in a box", "a dog in the box", "invoice and VAT"],
        dimensions=128,
    )
    first, near, far = (item.embedding for item in answer.data)
    assert len(first) == 128
    assert sum(a * b for a, b in zip(first, near, strict=True)) > sum(
        a * b for a, b in zip(first, far, strict=True)
    )
    numbers = client.embeddings.create(
        model=embedding.MODEL, input="a dog in the box", dimensions=128, encoding_format="float"
    )
    assert numbers.data[0].embedding == pytest.approx(near, abs=1e-6)
    assert answer.usage.prompt_tokens > 0


def test_a_rate_limit_is_retried_by_the_client(server: ModelServer, client: OpenAI) -> None:
    server.fail_next(Fault.RATE_LIMIT)
    assert len(list(stream(client))) > 5
    server.fail_next(Fault.RATE_LIMIT)
    with pytest.raises(openai.RateLimitError, match="try again in 1ms") as caught:
        stream(client.with_options(max_retries=0))
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["retry-after-ms"] == "1"


def test_an_outage_outlasts_the_retries(server: ModelServer, client: OpenAI) -> None:
    server.fail_next(Fault.OUTAGE, times=3)
    with pytest.raises(openai.InternalServerError):
        stream(client)
    assert len(list(stream(client))) > 5


def test_silence_runs_into_the_timeout(server: ModelServer, client: OpenAI) -> None:
    server.fail_next(Fault.SILENCE)
    with pytest.raises(openai.APITimeoutError):
        stream(client.with_options(timeout=0.2, max_retries=0))


def test_a_standstill_gives_half_an_answer(server: ModelServer, client: OpenAI) -> None:
    server.fail_next(Fault.STANDSTILL)
    heard = ""
    with stream(client, timeout=0.3) as chunks:
        pieces = (chunk.choices[0].delta.content or "" for chunk in chunks)
        while len(heard) < 4:
            heard += next(pieces)
        with pytest.raises(openai.APITimeoutError):
            heard += "".join(pieces)
    assert ANSWER.startswith(heard)


@pytest.mark.parametrize(
    ("model", "messages", "error", "code"),
    [
        ("gpt-9", QUESTION, openai.NotFoundError, "model_not_found"),
        (
            "gpt-4",
            [{"role": "user", "content": "word " * 9000}],
            openai.BadRequestError,
            "context_length_exceeded",
        ),
        ("gpt-4o-mini", [], openai.BadRequestError, None),
    ],
)
def test_bad_requests_are_refused_as_openai_refuses_them(
    client: OpenAI,
    model: str,
    messages: Messages,
    error: type[openai.APIStatusError],
    code: str | None,
) -> None:
    with pytest.raises(error) as caught:
        ask(client, messages, model=model)
    assert caught.value.code == code


def test_what_is_no_request_is_refused(server: ModelServer) -> None:
    host, port = server.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    for head, body, status in [
        ("POST /v1/chat/completions", b"{", b"401"),
        ("POST /v1/chat/completions", b"{", b"400"),
        ("POST /v1/elsewhere", b'{"model": "x"}', b"404"),
        ("GET /v1/models", b"", b"200"),
    ]:
        key = "" if status == b"401" else "Authorization: Bearer x\r\n"
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            request = (
                f"{head} HTTP/1.1\r\nHost: x\r\n{key}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            connection.sendall(request.encode() + body)
            assert connection.recv(4096).split()[1] == status


def test_equal_requests_get_equal_answers() -> None:
    said = []
    for _ in range(2):
        with ModelServer(pace=0) as server, OpenAI(base_url=server.base_url, api_key="test") as client:
            said.append(complete(client, model="o4-mini") | {"created": 0})
    assert said[0] == said[1]
