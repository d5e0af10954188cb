"""Streaming responses of real web frameworks: one span until the last byte, its text, its children."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from recording import Recording

import spanreel

pytestmark = pytest.mark.sdk


@spanreel.trace(name="leaf")
def leaf() -> None: ...


def test_starlette_streaming_over_fastapi(recording: Recording) -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from starlette.responses import StreamingResponse

    app = FastAPI()

    async def tokens() -> AsyncIterator[str]:
        for token in ("Hello", ", ", "world"):
            await asyncio.sleep(0)
            leaf()
            yield token

    @app.get("/answer/{who}")
    @spanreel.trace(name="answer")
    async def answer(who: str, q: int = 1) -> StreamingResponse:
        return StreamingResponse(tokens(), media_type="text/plain")

    with TestClient(app) as client:
        assert client.get("/answer/me?q=2").text == "Hello, world"
    seen = recording.one("answer")
    assert (seen.input, seen.output, seen.status) == ({"who": "me", "q": 2}, "Hello, world", "ok")
    assert seen.first_ns is not None
    assert [span.parent for span in recording.spans() if span.name == "leaf"] == [seen.span] * 3


def test_a_sync_iterator_in_a_starlette_response(recording: Recording) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import StreamingResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    @spanreel.trace(name="answer", capture=True)
    def answer(request: Request) -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]))

    with TestClient(Starlette(routes=[Route("/", answer)])) as client:
        assert client.get("/").content == b"ab"
    assert recording.one("answer").output == "ab"


def test_flask_streaming(recording: Recording) -> None:
    from flask import Flask, Response

    app = Flask("app")

    @app.get("/plain")
    @spanreel.trace(name="plain")
    def plain() -> Response:
        return Response("whole")

    @app.get("/")
    @spanreel.trace(name="answer")
    def answer() -> Response:
        def pieces() -> Iterator[str]:
            leaf()
            yield "one "
            yield "two"

        return Response(pieces())

    client = app.test_client()
    assert client.get("/").text == "one two"
    assert client.get("/plain").text == "whole"
    seen = recording.one("answer")
    assert (seen.output, seen.status) == ("one two", "ok")
    assert recording.one("leaf").parent == seen.span
    assert recording.one("plain").ended


def test_django_streaming(recording: Recording) -> None:
    from django.conf import settings

    if not settings.configured:
        settings.configure(DEFAULT_CHARSET="utf-8")
    from django.http import StreamingHttpResponse

    @spanreel.trace(name="answer")
    def answer() -> StreamingHttpResponse:
        return StreamingHttpResponse(str(n) for n in range(3))

    response = answer()
    assert not recording.one("answer").ended
    content: Any = response.streaming_content
    assert b"".join(content) == b"012"
    response.close()
    assert recording.one("answer").output == "012"


def test_returned_generators_and_iterators_are_not_consumed(recording: Recording) -> None:
    pulled = []

    def source() -> Iterator[int]:
        for n in range(3):
            pulled.append(n)
            yield n

    generator: Any = spanreel.trace(name="generator")(lambda: source())()
    iterator: Any = spanreel.trace(name="iterator")(lambda: map(str, range(3)))()
    assert pulled == []
    assert type(generator).__name__ == "generator"
    assert isinstance(iterator, map)
    assert not recording.one("generator").ended
    assert next(generator) == 0
    assert list(iterator) == ["0", "1", "2"]
    generator.close()
    assert recording.one("generator").output == [0]
    assert recording.one("iterator").output == "012"


def test_a_stream_that_is_never_started_ends_when_it_is_collected(recording: Recording) -> None:
    stream = spanreel.trace(name="never")(lambda: (n for n in range(3)))()
    proxy = spanreel.trace(name="proxy")(lambda: iter([1, 2]))()
    assert not recording.one("never").ended
    del stream, proxy
    gc.collect()
    assert recording.one("never").ended
    assert recording.one("proxy").ended


def test_files_and_cursors_are_left_alone(recording: Recording, tmp_path: Any) -> None:
    import sqlite3

    path = tmp_path / "file"
    path.write_text("a\nb\n")
    with spanreel.trace(name="file")(lambda: path.open())() as file:
        assert file.read() == "a\nb\n"
        assert type(file).__name__ == "TextIOWrapper"
    connection = sqlite3.connect(":memory:")
    cursor = spanreel.trace(name="cursor")(lambda: connection.execute("select 1"))()
    assert type(cursor) is sqlite3.Cursor
    assert recording.one("cursor").ended
    connection.close()
