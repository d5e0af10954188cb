"""`SpanreelMiddleware`: one span for each request that a web application serves, ASGI or WSGI.

The application's messages pass through unchanged, unbuffered and at once. Lifespan and websocket connections
are not ours.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Scope = Mapping[str, Any]
"""An ASGI scope or a WSGI environ."""
Told = Callable[[Any], object]


class SpanreelMiddleware:
    """Wraps an ASGI or a WSGI application: `SpanreelMiddleware(app)`, `app.add_middleware(SpanreelMiddleware)`.

    Each request becomes a span (kind "chain", named by method and route) from its arrival to the last byte
    sent, or until the client is gone (state abandoned). Its input is the body or the query, its output the
    text that was sent; everything that the application records meanwhile is below it. A `traceparent` header
    goes on with the trace of the caller.

    `session`, `user`: callables that get the ASGI scope or the WSGI environ and return the id, or None; they
    hold for all spans of the request. `skip`: a callable; requests for which it is true are left alone. What
    these callables raise is counted, and costs only what they would have told.
    """

    def __new__(cls, app: Any, **_options: Any) -> SpanreelMiddleware:  # noqa: PYI034 - a subclass by what `app` is
        """One whose `__call__` has the shape of the application's: servers look at it to tell ASGI from WSGI."""
        if cls is SpanreelMiddleware:
            return object.__new__({"asgi": _Asgi, "wsgi": _Wsgi}.get(_protocol_of(app), cls))
        return object.__new__(cls)

    def __init__(
        self, app: Any, *, session: Told | None = None, user: Told | None = None, skip: Told | None = None
    ) -> None:
        self.app = app
        self.session = session
        self.user = user
        self.skip = skip

    def __call__(self, *call: Any, **named: Any) -> Any:
        """Serve one request (or connection), as ASGI with three arguments, as WSGI with two."""
        call = (*call, *named.values())
        if len(call) == 3:
            from spanreel import served_asgi

            return served_asgi.serve(self, *call)
        from spanreel import served_wsgi

        return served_wsgi.serve(self, *call)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the application's."""
        if name == "app":
            raise AttributeError(name)
        return getattr(self.app, name)


class _Asgi(SpanreelMiddleware):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from spanreel import served_asgi

        await served_asgi.serve(self, scope, receive, send)


class _Wsgi(SpanreelMiddleware):
    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        from spanreel import served_wsgi

        return served_wsgi.serve(self, environ, start_response)


def _protocol_of(app: Any) -> str:
    """`asgi`, `wsgi`, or "" where only the call can tell."""
    call = app if inspect.isroutine(app) else getattr(app, "__call__", app)  # noqa: B004 - its shape is wanted
    if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(app):
        return "asgi"
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        return ""
    named = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    wide = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    needed = [p for p in named if p.default is p.empty]
    if wide:
        return ""
    return "asgi" if len(needed) == 3 else "wsgi" if len(needed) == 2 else ""
