"""`SpanreelMiddleware` around Flask, Django and bare WSGI, under gunicorn, waitress and wsgiref."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import httpx
import pytest
from recording import Recording, Seen, spans
from web_server import waitress_serving, wsgiref_serving

import spanreel
from spanreel import SpanreelMiddleware
from spanreel.guard import guard

pytestmark = pytest.mark.sdk
Serve = Callable[[Any], AbstractContextManager[str]]
SERVERS = [pytest.param(wsgiref_serving, id="wsgiref"), pytest.param(waitress_serving, id="waitress")]
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@spanreel.trace(name="leaf")
def leaf(who: str) -> str:
    return who


def _client(url: str, **options: Any) -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, timeout=20, **options)


def _input(seen: Seen) -> Any:
    return seen.attributes.get("spanreel.input")


def _flask() -> Any:
    from flask import Flask, Response, request, stream_with_context

    app = Flask("app")

    @app.post("/rooms/<room>")
    def room(room: str) -> Any:
        return {"room": leaf(room), "asked": request.get_json()["question"]}

    @app.get("/stream/<who>")
    def stream(who: str) -> Response:
        def pieces() -> Iterator[str]:
            for n in range(3):
                yield f"data: {leaf(who)} {n}\n\n"

        return Response(stream_with_context(pieces()), mimetype="text/event-stream")

    @app.post("/form")
    def form() -> str:
        return ",".join(sorted(request.form))

    @app.get("/broken")
    def broken() -> str:
        raise LookupError("no such thing")

    app.wsgi_app = SpanreelMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, session=lambda environ: environ.get("HTTP_X_SESSION")
    )
    return app


@pytest.mark.covers("SpanreelMiddleware (WSGI)", package=("flask", "waitress"))
@pytest.mark.parametrize("serving", SERVERS)
def test_flask(recording: Recording, serving: Serve) -> None:
    """Flask under waitress and wsgiref: JSON, form and SSE answers, each one trace with route, input, text, session and its children; a foreign traceparent goes on."""
    with serving(_flask()) as url, _client(url, headers={"x-session": "s-1"}) as client:
        answer = client.post(
            "/rooms/blue?v=1", json={"question": "why?"}, headers={"traceparent": TRACEPARENT}
        )
        assert answer.json() == {"room": "blue", "asked": "why?"}
        text = client.get("/stream/me").text
        assert text == "data: me 0\n\ndata: me 1\n\ndata: me 2\n\n"
        assert client.post("/form", data={"name": "x", "password": "hidden-1"}).text == "name,password"
        assert [client.get(path).status_code for path in ("/broken", "/none")] == [500, 404]
    room, stream, form = (
        recording.one(name) for name in ("POST /rooms/blue", "GET /stream/me", "POST /form")
    )
    assert (room.trace, room.parent, room.flags) == (TRACEPARENT[3:35], TRACEPARENT[36:52], "f")
    assert (_input(room), room.status) == ({"question": "why?"}, "ok")
    assert room.attributes["http.route"] == "/rooms/<room>"
    assert (stream.output, stream.attributes["spanreel.name"]) == (text, "GET /stream/<who>")
    assert stream.attributes["session.id"] == "s-1"
    assert _input(form)["name"] == "x"
    assert "hidden-1" not in str(form.attributes)
    leaves = [span for span in recording.spans() if span.name == "leaf"]
    assert [span.parent for span in leaves] == [room.span] + [stream.span] * 3
    assert {span.attributes["session.id"] for span in leaves} == {"s-1"}
    assert recording.one("GET /broken").attributes["http.response.status_code"] == 500
    assert recording.one("GET /broken").status == "error"
    assert recording.one("GET /none").status == "ok"
    assert all(span.ended for span in recording.spans())


DJANGO = """
import sys
from django.conf import settings
settings.configure(ROOT_URLCONF="site_urls", SECRET_KEY="k", ALLOWED_HOSTS=["*"], DEBUG=False)
import django
django.setup()
from django.core.wsgi import get_wsgi_application
from django.core.asgi import get_asgi_application
from spanreel import SpanreelMiddleware
wsgi = SpanreelMiddleware(get_wsgi_application(), user=lambda environ: environ.get("HTTP_X_USER"))
asgi = SpanreelMiddleware(get_asgi_application())
"""
URLS = """
import os
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
import spanreel

@spanreel.trace(name="leaf")
def leaf(who):
    return who

def room(request, number):
    return HttpResponse(f"{leaf('room')} {number}", content_type="text/plain")

def stream(request):
    return StreamingHttpResponse((leaf(f"piece{n} ") for n in range(3)), content_type="text/plain")

def pid(request):
    return HttpResponse(str(os.getpid()), content_type="text/plain")

urlpatterns = [path("rooms/<int:number>/", room), path("stream/", stream), path("pid/", pid)]
"""


@contextmanager
def _process(folder: Path, *command: str) -> Iterator[tuple[str, Path]]:
    """A server process on a free port; its URL and its store."""
    (folder / "site_app.py").write_text(DJANGO)
    (folder / "site_urls.py").write_text(URLS)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    store = folder / "store"
    environment = {
        **os.environ,
        "SPANREEL_STORE": str(store),
        "SPANREEL_KEEPER": "off",
        "PYTHONPATH": str(folder),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", *(word.replace("PORT", port) for word in command)],
        cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                    break
            assert process.poll() is None
            threading.Event().wait(0.05)
        yield f"http://127.0.0.1:{port}", store
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@pytest.mark.covers("SpanreelMiddleware (WSGI)", package=("django", "gunicorn"))
def test_django_under_gunicorn_with_four_workers(tmp_path: Path) -> None:
    """Django under gunicorn with 4 forked workers, 40 requests, SIGTERM at the end: one trace per request, 0 lost, 0 orphans, route and text right."""
    with _process(tmp_path, "gunicorn", "-w", "4", "-b", "127.0.0.1:PORT", "--preload", "site_app:wsgi") as (
        url,
        store,
    ):

        def ask(n: int) -> str:
            with _client(url, headers={"x-user": f"u-{n}"}) as client:
                return client.get("/stream/" if n % 2 else f"/rooms/{n}/").text

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(ask, range(40)))
    assert answers == ["piece0 piece1 piece2 " if n % 2 else f"room {n}" for n in range(40)]
    found = spans(store)
    roots = [span for span in found if not span.parent]
    assert len(roots) == len({span.trace for span in roots}) == 40
    assert {span.parent for span in found if span.parent} <= {span.span for span in roots}
    assert len(found) == 40 + 20 + 20 * 3
    assert all(span.ended and span.status == "ok" for span in found)
    rooms = [span for span in roots if span.attributes["http.route"] == "/rooms/<int:number>/"]
    assert {span.output for span in rooms} == {f"room {n}" for n in range(0, 40, 2)}
    assert {span.output for span in roots if span not in rooms} == {"piece0 piece1 piece2 "}
    assert {span.attributes["user.id"] for span in roots} == {f"u-{n}" for n in range(40)}


@pytest.mark.covers("SpanreelMiddleware (ASGI)", package=("django", "uvicorn"))
def test_django_under_uvicorn(tmp_path: Path) -> None:
    """Django's ASGI handler under uvicorn: route, text and children of a plain and a streamed answer."""
    with (
        _process(tmp_path, "uvicorn", "site_app:asgi", "--port", "PORT") as (url, store),
        _client(url) as client,
    ):
        assert client.get("/rooms/5/").text == "room 5"
    root, below = spans(store)
    assert (root.attributes["spanreel.name"], root.output) == ("GET /rooms/<int:number>/", "room 5")
    assert (root.status, below.parent) == ("ok", root.span)


def _bare(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/write":
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written ")
        return [b"and returned"]
    if path == "/file":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "9")])
        return environ["wsgi.file_wrapper"](Path(environ["file"]).open("rb"))  # type: ignore[no-any-return]
    if path == "/late":

        def pieces() -> Iterator[bytes]:
            try:
                start_response("200 OK", [("Content-Type", "text/plain")])
                yield b"one "
                raise ValueError("late")
            finally:
                leaf("closed")

        return pieces()
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def test_bare_wsgi(recording: Recording, tmp_path: Path) -> None:
    """The letter of PEP 3333: `write`, lists (their length is seen by the server), files, late errors, a validator on both sides."""
    (tmp_path / "file").write_text("from disk")

    def with_file(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["file"] = str(tmp_path / "file")
        return _bare(environ, start_response)

    with wsgiref_serving(SpanreelMiddleware(with_file)) as url, _client(url) as client:
        assert client.get("/write").text == "written and returned"
        assert client.get("/file").text == "from disk"
        echoed = client.post("/echo", content="hello", headers={"content-type": "text/plain"})
        assert (echoed.text, echoed.headers["content-length"]) == ("hello", "5")
        with pytest.raises(httpx.RemoteProtocolError):
            print(client.get("/late", headers={"accept-encoding": "identity"}).text)
            raise httpx.RemoteProtocolError("the server closed the connection without a word")
    assert recording.one("GET /write").output == "written and returned"
    assert recording.one("GET /file").ended
    assert (_input(recording.one("POST /echo")), recording.one("POST /echo").output) == ("hello", "hello")
    late = recording.one("GET /late")
    assert late.error is not None
    assert (late.status, late.error["type"], late.output) == ("error", "ValueError", "one ")
    assert recording.one("leaf").parent == late.span
    checked = validator(SpanreelMiddleware(validator(_bare)))
    with wsgiref_serving(checked) as url, _client(url) as client:
        assert client.post("/echo", content="hello", headers={"content-type": "text/plain"}).text == "hello"


def test_a_client_that_leaves(recording: Recording) -> None:
    """A client that closes in the middle of a stream: abandoned, with the text that was sent."""
    closed = threading.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])

        def pieces() -> Iterator[bytes]:
            try:
                while True:
                    yield b"tick " * 1000
            finally:
                closed.set()

        return pieces()

    with wsgiref_serving(SpanreelMiddleware(app)) as url:
        with _client(url) as client, client.stream("GET", "/") as response:
            next(response.iter_bytes())
        assert closed.wait(20)
    seen = recording.one("GET /")
    assert (seen.status, seen.attributes["spanreel.state"]) == ("unset", "abandoned")
    assert seen.output.startswith("tick tick")


def test_what_an_application_is_told_by_its_shape(recording: Recording) -> None:
    """ASGI and WSGI applications are told apart before the first call; everything else of them stays reachable."""
    import inspect
    from functools import partial

    async def asgi(scope: Any, receive: Any, send: Any) -> None: ...

    class Wsgi:
        name = "mine"

        def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
            return []

    def either(*call: Any) -> list[bytes]:
        return [b"%d" % len(call)]

    for app in (asgi, partial(asgi), SpanreelMiddleware(asgi)):
        assert inspect.iscoroutinefunction(SpanreelMiddleware(app).__call__)
    assert not inspect.iscoroutinefunction(SpanreelMiddleware(Wsgi()).__call__)
    assert SpanreelMiddleware(Wsgi()).name == "mine"
    with pytest.raises(AttributeError):
        print(SpanreelMiddleware(Wsgi()).other)
    assert isinstance(SpanreelMiddleware(asgi), SpanreelMiddleware)
    assert SpanreelMiddleware(either)({"REQUEST_METHOD": "GET"}, None) == [b"2"]


def test_failures_of_ours_cost_the_program_nothing(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "strict", False)
    with wsgiref_serving(_flask()) as url, _client(url) as client:
        for broken in (
            "begin",
            "Served._bodies",
            "Served._name",
            "Served.first",
            "Body.add",
            "Body.describe",
        ):
            with monkeypatch.context() as patch:
                patch.setattr(f"spanreel.served.{broken}", lambda *a, **k: 1 / 0)
                assert client.get("/stream/x").text.startswith("data: x 0"), broken
                assert client.post("/rooms/b", json={"question": "q"}).json()["room"] == "b", broken
    assert all(span.ended for span in recording.spans())
