"""A request served by a WSGI application: the span ends when the server has taken the last piece."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from spanreel import context as contexts
from spanreel import served as serving
from spanreel.guard import guard
from spanreel.served import Served

if TYPE_CHECKING:
    from spanreel.middleware import SpanreelMiddleware


def serve(
    middleware: SpanreelMiddleware, environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """Call the application and return what it returns, watched where it comes piece by piece."""
    opened: tuple[Any, Any] | None = None
    with guard("served.wsgi"):
        opened = _begin(middleware, environ)
    if opened is None:
        result: Iterable[bytes] = middleware.app(environ, start_response)
        return result
    span, token = opened
    served = _Served(span, environ, start_response) if span.recording else None
    carried = contexts.ours()
    try:
        result = middleware.app(environ, start_response if served is None else served.start_response)
    except BaseException as error:
        if served is not None:
            served.finish(error)
        raise
    finally:
        contexts.detach(token)
    if _is_lazy(result, environ):
        return _Pieces(result, served, carried)
    if served is not None:
        with guard("served.whole"):
            for piece in result if isinstance(result, list | tuple) else ():
                served.sent.add(piece)
        served.finish()
    return result


def _begin(middleware: SpanreelMiddleware, environ: dict[str, Any]) -> tuple[Any, Any] | None:
    headers = [
        (name.lower(), environ[key])
        for name, key in (("traceparent", "HTTP_TRACEPARENT"), ("tracestate", "HTTP_TRACESTATE"))
        if key in environ
    ]
    return serving.begin(
        middleware,
        environ,
        method=environ["REQUEST_METHOD"],
        path=_path(environ),
        headers=headers,
        attributes={
            "url.scheme": environ.get("wsgi.url_scheme", "http"),
            "network.protocol.version": str(environ.get("SERVER_PROTOCOL", "")).partition("/")[2],
            "server.address": environ.get("HTTP_HOST") or environ.get("SERVER_NAME", ""),
        },
    )


def _path(environ: dict[str, Any]) -> str:
    """The path as UTF-8; PEP 3333 hands it over as latin-1."""
    raw = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return str(raw).encode("latin-1", "replace").decode("utf-8", "replace") or "/"


def _is_lazy(result: Any, environ: dict[str, Any]) -> bool:
    """Whether the answer comes piece by piece. A file that the server sends by itself is left to it."""
    if isinstance(result, list | tuple):
        return False
    wrapper = environ.get("wsgi.file_wrapper")
    return not (isinstance(wrapper, type) and isinstance(result, wrapper))


class _Served(Served):
    """A request whose `start_response` and `wsgi.input` are seen."""

    __slots__ = ("_start_response",)

    def __init__(self, span: Any, environ: dict[str, Any], start_response: Callable[..., Any]) -> None:
        super().__init__(span, environ.get("QUERY_STRING", ""), lambda: _route(environ))
        self._start_response = start_response
        with guard("served.headers"):
            self.received.describe(environ.get("CONTENT_TYPE", ""), environ.get("HTTP_CONTENT_ENCODING", ""))
        stream = environ.get("wsgi.input")
        if stream is not None:
            environ["wsgi.input"] = _Input(stream, self)

    def start_response(
        self, status: str, headers: list[tuple[str, str]], *more: Any
    ) -> Callable[[bytes], Any]:
        """Hand on status and headers; returns the server's `write`, watched."""
        write: Callable[[bytes], Any] = self._start_response(status, headers, *more)
        with guard("served.start_response"):
            self.status = int(str(status)[:3])
            found = self.route()  # Flask takes its request out of the environ before the answer is sent
            self.route = lambda: found
            about = {name.lower(): value for name, value in headers}
            self.sent.describe(about.get("content-type", ""), about.get("content-encoding", ""))

        def writing(data: bytes) -> Any:
            written = write(data)
            self.piece(data)
            return written

        return writing

    def piece(self, data: bytes) -> None:
        """Note the next piece of the answer."""
        with guard("served.piece"):
            self.sent.add(data)
            self.first()


class _Input:
    """`wsgi.input`, seen while the application reads it."""

    def __init__(self, stream: Any, served: Served) -> None:
        self._stream = stream
        self._served = served

    def read(self, *size: Any) -> Any:
        """Read as the server's stream does."""
        return self._seen(self._stream.read(*size))

    def readline(self, *size: Any) -> Any:
        """Read a line as the server's stream does."""
        return self._seen(self._stream.readline(*size))

    def readlines(self, *hint: Any) -> Any:
        """Read lines as the server's stream does."""
        lines = self._stream.readlines(*hint)
        for line in lines:
            self._seen(line)
        return lines

    def __iter__(self) -> Iterator[Any]:
        for line in self._stream:
            yield self._seen(line)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        return self._into(found) if name in {"readinto", "readinto1"} else found

    def _into(self, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def readinto(buffer: Any) -> Any:
            count = read(buffer)
            if count:
                self._seen(bytes(memoryview(buffer)[:count]))
            return count

        return readinto

    def _seen(self, data: Any) -> Any:
        with guard("served.input"):
            self._served.received.add(data)
        return data


class _Pieces:
    """The answer of an application, piece by piece, with the request's span current for each."""

    def __init__(self, result: Any, served: _Served | None, carried: Any) -> None:
        self._result = result
        self._served = served
        self._carried = carried
        self._steps: Iterator[bytes] | None = None

    def __iter__(self) -> _Pieces:
        return self

    def __next__(self) -> bytes:
        served = self._served
        token = contexts.variable.set(contexts.merged(self._carried)) if self._carried is not None else None
        try:
            if self._steps is None:
                self._steps = iter(self._result)
            piece = next(self._steps)
        except StopIteration:
            if served is not None:
                served.finish()
            raise
        except BaseException as error:
            if served is not None:
                served.finish(error)
            raise
        finally:
            if token is not None:
                contexts.detach(token)
        if served is not None:
            served.piece(piece)
        return piece

    def close(self) -> None:
        """Close the application's iterable; the span ends, abandoned if pieces were left."""
        closing = getattr(self._result, "close", None)
        try:
            if closing is not None:
                closing()
        finally:
            if self._served is not None:
                self._end()

    def _end(self) -> None:
        served = self._served
        if served is not None and served.span.is_recording():
            served.lost()
            served.finish()

    def __del__(self) -> None:
        """The server forgot to close it. The interpreter may be half gone: say nothing."""
        try:
            self._end()
        except Exception:
            pass


def _route(environ: dict[str, Any]) -> str:
    """The route's pattern as Flask leaves it with its request; Django's by its resolver."""
    request = environ.get("werkzeug.request")
    if request is not None:
        rule = getattr(getattr(request, "url_rule", None), "rule", "")
        return f"{environ.get('SCRIPT_NAME', '')}{rule}" if rule else ""
    return serving.django_route(environ.get("PATH_INFO", ""))
