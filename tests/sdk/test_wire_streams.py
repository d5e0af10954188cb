"""Streams that are left, closed, cut, forgotten or read elsewhere; and the async client."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai_server import OpenAIServer
from recording import Recording
from wire_journal import only, spans

import spanreel

pytestmark = pytest.mark.sdk

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    running = OpenAIServer()
    yield running
    running.close()


@pytest.fixture
def client(server: OpenAIServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key="sk-test", max_retries=0) as made:
        yield made


def stream_of(client: openai.OpenAI, model: str = "gpt-4o-mini", **options: Any) -> Any:
    with spanreel.span("root"):
        return client.chat.completions.create(model=model, messages=HELLO, stream=True, **options)


def test_the_span_is_open_while_the_stream_is(recording: Recording, client: openai.OpenAI) -> None:
    stream = stream_of(client)
    next(stream)
    assert only(recording.store).raw.state == "running"
    list(stream)
    assert only(recording.store).raw.state == "ended"


@pytest.mark.parametrize("how", ["break", "close", "with"])
def test_a_stream_left_early_is_no_error(recording: Recording, client: openai.OpenAI, how: str) -> None:
    stream = stream_of(client, model="slow")
    if how == "with":
        with stream:
            next(stream)
    else:
        for _ in stream:
            if how == "break":
                break
            stream.close()
            break
        stream.close()
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.state, llm.meta["ending"]) == ("ok", "ended", "closed")
    assert llm.response.startswith(b"data: ")
    assert llm.call.error_type is None
    assert llm.call.output_messages[0]["role"] == "assistant"


def test_a_forgotten_stream_is_ended_with_what_came(recording: Recording, client: openai.OpenAI) -> None:
    with spanreel.span("root"):
        response = client.chat.completions.with_raw_response.create(model="slow", messages=HELLO, stream=True)
    raw = response.http_response
    pieces = raw.iter_bytes()
    first = next(pieces)
    del response, raw, pieces
    gc.collect()
    llm = only(recording.store)
    assert (llm.raw.state, llm.raw.status, llm.meta["ending"]) in {
        ("abandoned", "unset", "collected"),  # httpx
        ("ended", "ok", "closed"),  # httpx2 closes a response whose iterator goes
    }
    assert llm.response == first


def test_a_stream_that_nobody_reads(recording: Recording, server: OpenAIServer) -> None:
    client = httpx2.Client()
    with spanreel.span("root"):
        request = client.build_request(
            "POST", f"{server.url}/chat/completions", json={"model": "m", "messages": HELLO, "stream": True}
        )
        response = client.send(request, stream=True)
    del response
    gc.collect()
    llm = only(recording.store)
    assert (llm.raw.state, llm.raw.status, llm.meta["ending"]) == ("abandoned", "unset", "collected")
    assert llm.response == b""
    client.close()


def test_a_stream_that_is_cut(recording: Recording, client: openai.OpenAI) -> None:
    said: list[str] = []
    with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError, httpx2.ReadError)):
        for chunk in stream_of(client, model="cut"):
            said.append(chunk.choices[0].delta.content or "")
    llm = only(recording.store)
    assert llm.raw.status == "error"
    assert llm.raw.error_type in {"httpx2.RemoteProtocolError", "httpx2.ReadError"}
    assert llm.call.finish_reasons == ("error",)
    assert llm.call.output_started is False
    assert llm.said == "".join(said)
    assert llm.said


def test_a_stream_that_stops_short_without_a_word(recording: Recording, client: openai.OpenAI) -> None:
    said = "".join(chunk.choices[0].delta.content or "" for chunk in stream_of(client, model="short"))
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type) == ("error", "stream_cut")
    assert (llm.call.error_type, llm.call.finish_reasons) == ("stream_cut", ("error",))
    assert llm.said == said


def test_a_responses_stream_that_is_cut(recording: Recording, client: openai.OpenAI) -> None:
    with (
        spanreel.span("root"),
        pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError, httpx2.ReadError)),
    ):
        list(client.responses.create(model="cut", input="Hello", stream=True))
    llm = only(recording.store)
    assert llm.call.finish_reasons == ("error",)
    assert llm.call.response_id == "resp_1"
    assert llm.call.usage is None
    reasoning, said = llm.call.output_messages[0]["parts"]
    assert reasoning == {"type": "reasoning", "content": "Thinking it over."}
    assert said["content"]
    assert "Hello from the Responses API.".startswith(said["content"])


def test_an_error_inside_a_stream(recording: Recording, client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError, match="overloaded"):
        list(stream_of(client, model="error-in-stream"))
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type, llm.raw.error_message) == (
        "error",
        "overloaded",
        "overloaded",
    )
    assert llm.call.error_type == "overloaded"


@pytest.mark.parametrize("stream", [False, True])
def test_a_compressed_response(
    recording: Recording, client: openai.OpenAI, server: OpenAIServer, stream: bool
) -> None:
    with spanreel.span("root"):
        answer: Any = client.chat.completions.create(model="gzip", messages=HELLO, stream=stream)
        if stream:
            list(answer)
    llm = only(recording.store)
    assert llm.response == server.bodies[0]
    assert llm.meta["content_encoding"] == "gzip"
    assert "content-encoding" not in llm.meta["response_headers"]
    assert llm.said == "You said: Hello"
    if stream:
        offsets = [offset for offset, _ in llm.meta["chunks"]]
        assert offsets == sorted(offsets)
        assert all(llm.response[offset:].startswith(b"data: ") for offset in offsets)


def test_a_stream_read_in_another_thread(recording: Recording, client: openai.OpenAI) -> None:
    stream = stream_of(client)
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    reader.join()
    assert only(recording.store).raw.status == "ok"


def run(body: Any) -> Any:
    return asyncio.run(body)


def test_async_calls_side_by_side_keep_their_parents(recording: Recording, server: OpenAIServer) -> None:
    @spanreel.trace
    async def work(client: openai.AsyncOpenAI, number: int) -> str:
        if number % 2:
            stream = await client.chat.completions.create(
                model="slow", messages=[{"role": "user", "content": f"number {number}"}], stream=True
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        answer = await client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": f"number {number}"}]
        )
        return answer.choices[0].message.content or ""

    async def main() -> list[str]:
        async with openai.AsyncOpenAI(base_url=server.url, api_key="sk-test") as client:
            return list(await asyncio.gather(*(work(client, number) for number in range(8))))

    said = run(main())
    assert said == [f"You said: number {number}" for number in range(8)]
    everything = spans(recording.store)
    parents = {span.raw.span_id: span for span in everything if span.raw.kind == "chain"}
    calls = [span for span in everything if span.raw.kind == "llm"]
    assert len(parents) == len(calls) == 8
    assert {span.raw.parent_id for span in calls} == set(parents)
    for span in calls:
        assert span.raw.parent_id is not None
        assert parents[span.raw.parent_id].raw.output == f'"{span.said}"'
        assert span.raw.status == "ok"


def test_async_streams_left_early_and_cut(recording: Recording, server: OpenAIServer) -> None:
    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=server.url, api_key="sk-test", max_retries=0) as client:
            with spanreel.span("root"):
                stream = await client.chat.completions.create(model="slow", messages=HELLO, stream=True)
                async for _ in stream:
                    break
                await stream.close()
                cut = await client.chat.completions.create(model="cut", messages=HELLO, stream=True)
                with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError, httpx2.ReadError)):
                    async for _ in cut:
                        pass

    run(main())
    left, cut = spans(recording.store, "llm")
    assert (left.raw.status, left.raw.state) == ("ok", "ended")
    assert (cut.raw.status, cut.call.finish_reasons) == ("error", ("error",))


def test_an_async_call_that_is_cancelled(recording: Recording, server: OpenAIServer) -> None:
    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=server.url, api_key="sk-test", max_retries=0) as client:
            with spanreel.span("root"):
                task = asyncio.create_task(client.chat.completions.create(model="hang", messages=HELLO))
                await asyncio.sleep(0.1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    run(main())
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.state) == ("unset", "abandoned")
    assert llm.raw.error_type is not None
    assert llm.raw.error_type.endswith("CancelledError")


def test_async_retries_errors_and_embeddings(recording: Recording, server: OpenAIServer) -> None:
    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=server.url, api_key="sk-test") as client:
            with spanreel.span("root"):
                await client.chat.completions.create(model="limited", messages=HELLO)
                await client.embeddings.create(model="e", input="a")
                with pytest.raises(openai.AuthenticationError):
                    await client.chat.completions.create(model="unauthorised", messages=HELLO)
                with_stream = client.chat.completions.with_streaming_response
                async with with_stream.create(model="gpt-4o-mini", messages=HELLO) as response:
                    assert await response.read()

    run(main())
    failed, answered, refused, streamed = spans(recording.store, "llm")
    assert answered.raw.attributes["spanreel.retry_of"] == failed.raw.span_id
    assert refused.raw.error_type == "401"
    assert streamed.said == "You said: Hello"
    assert len(spans(recording.store, "embedding")) == 1


def run_program(tmp_path: Path, server: OpenAIServer, program: str) -> Path:
    """Run a program of its own that uses the server and a fresh store."""
    store = tmp_path / "program store"
    environment = {
        **os.environ,
        "SPANREEL_STORE": str(store),
        "SPANREEL_KEEPER": "off",
        "OPENAI_BASE_URL": server.url,
    }
    environment["OPENAI_API_KEY"] = "sk-test"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return store


def test_a_client_made_before_anything_of_ours(tmp_path: Path, server: OpenAIServer) -> None:
    program = """
        import openai
        client = openai.OpenAI()
        from spanreel import trace

        @trace
        def answer():
            return client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}])

        answer()
    """
    chain, llm = spans(run_program(tmp_path, server, program))
    assert (chain.raw.kind, llm.raw.kind) == ("chain", "llm")
    assert llm.raw.parent_id == chain.raw.span_id
    assert llm.call.usage is not None
    assert llm.call.usage.input_tokens == 1200


def test_a_library_imported_after_the_first_traced_call(tmp_path: Path, server: OpenAIServer) -> None:
    program = """
        import sys
        from spanreel import trace

        @trace
        def nothing(): ...

        nothing()
        assert "httpx" not in sys.modules and "httpx2" not in sys.modules
        from spanreel import wire
        assert {outcome.state for outcome in wire.outcomes()} == {"not imported"}
        import openai
        assert {outcome.name: outcome.state for outcome in wire.outcomes()}["httpx2"] == "wrapped"

        @trace
        def answer():
            openai.OpenAI().chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}])

        answer()
    """
    store = run_program(tmp_path, server, program)
    assert len(spans(store, "llm")) == 1


def test_a_stream_open_at_exit_is_kept(tmp_path: Path, server: OpenAIServer) -> None:
    program = """
        import openai, spanreel
        client = openai.OpenAI()
        with spanreel.span("root"):
            stream = client.chat.completions.create(
                model="slow", messages=[{"role": "user", "content": "Hello"}], stream=True)
            next(stream)
    """
    llm = only(run_program(tmp_path, server, program))
    assert (llm.raw.state, llm.meta["ending"]) == ("abandoned", "collected")
    assert llm.response.startswith(b"data: ")


@pytest.mark.crash
def test_the_request_of_a_call_that_dies_is_kept(tmp_path: Path, server: OpenAIServer) -> None:
    program = """
        import openai, os, spanreel, threading
        client = openai.OpenAI()
        pid = os.fork()
        if pid == 0:
            with spanreel.span("root"):
                threading.Timer(0.3, os._exit, (0,)).start()
                client.chat.completions.create(model="hang", messages=[{"role": "user", "content": "last words"}])
        os.waitpid(pid, 0)
    """
    llm = only(run_program(tmp_path, server, program))
    assert llm.raw.state == "running"
    assert "last words" in (llm.raw.input or "")


def test_a_fork_in_the_middle_of_a_stream_writes_it_once(tmp_path: Path, server: OpenAIServer) -> None:
    program = """
        import openai, os, spanreel, warnings
        warnings.simplefilter("ignore")
        client = openai.OpenAI()
        with spanreel.span("root"):
            stream = client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}], stream=True)
            next(stream)
            pid = os.fork()
            if pid == 0:
                del stream
                raise SystemExit(0)
            os.waitpid(pid, 0)
            list(stream)
    """
    llm = only(run_program(tmp_path, server, program))
    assert len(llm.raw.attempts) == 1
    assert llm.raw.status == "ok"
