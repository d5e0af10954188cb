"""A request served by an ASGI application: messages pass through, and are looked at on their way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from spanreel import context as contexts
from spanreel import served as serving
from spanreel.guard import guard
from spanreel.served import Served

if TYPE_CHECKING:
    from spanreel.middleware import SpanreelMiddleware

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


_LAST = {
    "http.response.trailers": "more_trailers",
    "http.response.zerocopysend": "more_body",
    "http.response.pathsend": "",
}
"""Messages that end a response, and the key that says that more of them come."""


async def serve(middleware: SpanreelMiddleware, scope: Any, receive: Receive, send: Send) -> None:
    """Call the application; record the request unless it is a connection of another type."""
    opened: tuple[Any, Any] | None = None
    if scope["type"] == "http":
        with guard("served.asgi"):
            opened = _begin(middleware, scope)
    if opened is None:
        await middleware.app(scope, receive, send)
        return
    span, token = opened
    try:
        if not span.recording:
            await middleware.app(scope, receive, send)
            return
        served = _Served(span, scope, receive, send)
        try:
            await middleware.app(scope, served.receive, served.send)
        except BaseException as error:
            served.finish(error)
            raise
        served.finish()
    finally:
        contexts.detach(token)


def _begin(middleware: SpanreelMiddleware, scope: Any) -> tuple[Any, Any] | None:
    attributes = {
        "url.scheme": scope.get("scheme", "http"),
        "network.protocol.version": scope.get("http_version"),
    }
    for name, value in scope["headers"]:
        if name == b"host":
            attributes["server.address"] = value.decode("latin-1")
    return serving.begin(
        middleware,
        scope,
        method=scope["method"],
        path=scope["path"],
        headers=scope["headers"],
        attributes=attributes,
    )


class _Served(Served):
    """A request whose `receive` and `send` are seen."""

    __slots__ = ("_receive", "_send", "_trailers", "complete")

    def __init__(self, span: Any, scope: Any, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"").decode("latin-1")
        super().__init__(span, query, lambda: _route(scope))
        self._receive, self._send = receive, send
        self._trailers = False
        self.complete = False
        with guard("served.headers"):
            self.received.describe(*_about(scope["headers"]))

    async def receive(self) -> Message:
        """Hand on the next message of the client."""
        message = await self._receive()
        with guard("served.receive"):
            if message["type"] == "http.request":
                self.received.add(message.get("body", b""))
            elif message["type"] == "http.disconnect" and not self.complete:
                self.lost()
        return message

    async def send(self, message: Message) -> None:
        """Hand on the next message of the application."""
        try:
            await self._send(message)
        except OSError:
            self.lost()
            raise
        with guard("served.send"):
            self._note(message)

    def _note(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self.status = int(message["status"])
            self._trailers = bool(message.get("trailers"))
            self.sent.describe(*_about(message.get("headers", ())))
        elif kind == "http.response.body":
            if not self.gone:
                self.sent.add(message.get("body", b""))
                self.first()
            if not message.get("more_body") and not self._trailers:
                self._all_sent()
        elif kind in _LAST and not message.get(_LAST[kind]):
            self._all_sent()

    def _all_sent(self) -> None:
        self.complete = True
        self.finish()

    def finish(self, error: BaseException | None = None) -> None:
        """End the span; an answer that was begun and not completed is one that nobody waits for."""
        if error is None and not self.complete and not self.gone and self.status:
            self.lost()
        super().finish(error)


def _about(headers: Any) -> tuple[str, str]:
    """Content type and encoding."""
    found = {bytes(name).lower(): bytes(value).decode("latin-1") for name, value in headers}
    return found.get(b"content-type", ""), found.get(b"content-encoding", "")


def _route(scope: Any) -> str:
    """The route's pattern as Starlette and FastAPI leave it in the scope; Django's by its resolver."""
    route = scope.get("route")
    if route is None:
        return "" if "endpoint" in scope else serving.django_route(scope["path"])
    root = str(scope.get("root_path", "")).rstrip("/")
    path = getattr(route, "path_format", None)
    if not isinstance(path, str):
        return root
    if hasattr(route, "app") and hasattr(route, "routes") and not hasattr(route, "endpoint"):
        return root or "/"  # a mount: what is below it has no route of its own
    return f"{root}{path}" or "/"
