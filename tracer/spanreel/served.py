"""One request that is being served: its span, what came in and what went out; shared by ASGI and WSGI."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import orjson

from spanreel import clock, failure, propagation
from spanreel import context as contexts
from spanreel import recorder as recorders
from spanreel.guard import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from http import HTTPStatus

    from spanreel.middleware import SpanreelMiddleware
    from spanreel.recorder import Recorder
    from spanreel.spans import Span

MARK = "spanreel.trace_id"
"""The key under which a scope or environ tells that its request is recorded: an inner middleware leaves it alone."""
STATUS_OF_SERVER_ERRORS = 500
_TEXTUAL = ("json", "xml", "javascript", "yaml", "x-www-form-urlencoded", "graphql", "csv")
logger = logging.getLogger("spanreel")


class Body:
    """What passes in one direction: text up to `limit` bytes is kept, everything is counted."""

    __slots__ = ("_chunks", "_room", "content_type", "encoding", "size")

    def __init__(self, limit: int) -> None:
        self._chunks: list[bytes] = []
        self._room = limit
        self.size = 0
        self.content_type = ""
        self.encoding = ""

    def describe(self, content_type: str, encoding: str) -> None:
        """Take what the headers say about the body; nothing is kept of what is no text."""
        self.content_type, self.encoding = content_type.lower(), encoding.lower()
        kind = self.content_type.partition(";")[0]
        if not kind.startswith("text/") and not kind.endswith(_TEXTUAL):
            self._room = 0

    def add(self, chunk: bytes) -> None:
        """Note the next bytes."""
        self.size += len(chunk)
        if chunk and self._room > 0:
            self._chunks.append(bytes(chunk[: self._room]))
            self._room -= len(chunk)

    @property
    def cut(self) -> bool:
        """Whether text was left out."""
        return self._room < 0

    def text(self) -> str | None:
        """The text as it was sent, decompressed; None where there is none."""
        if not self._chunks:
            return None
        data = b"".join(self._chunks)
        if self.encoding not in {"", "identity"}:
            from spanreel.wire import encodings

            (data,) = encodings.decode(self.encoding, [data])
        _, _, charset = self.content_type.partition("charset=")
        try:
            return data.decode(charset.partition(";")[0].strip(" \"'") or "utf-8", "replace")
        except LookupError:
            return data.decode("utf-8", "replace")

    def value(self) -> Any:
        """The body as a program would read it: JSON and forms as values, else the text."""
        text = self.text()
        if text is None or self.cut:
            return text
        kind = self.content_type.partition(";")[0].strip()
        if kind.endswith("json"):
            try:
                return orjson.loads(text)
            except ValueError:
                return text
        return fields(text) if kind.endswith("form-urlencoded") else text


def fields(query: str) -> dict[str, Any]:
    """A query or form as name -> value, or list of values."""
    from urllib.parse import parse_qs

    found = parse_qs(query, keep_blank_values=True, max_num_fields=1000)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


class Served:
    """The span of one request. Every method is guarded; the span ends once, with `finish` or `fail`."""

    __slots__ = ("_ended_ns", "_query", "gone", "received", "route", "sent", "span", "status")

    def __init__(self, span: Span, query: str, route: Callable[[], str]) -> None:
        limit = span._recorder.settings.body_limit if span._recorder.full else 0  # noqa: SLF001
        self.span = span
        self.received = Body(limit)
        self.sent = Body(limit)
        self.route = route
        self.status = 0
        self.gone = False
        self._query = query
        self._ended_ns = 0

    def first(self) -> None:
        """Note that the first bytes of the answer have gone out."""
        if self.sent.size:
            self.span.first_token()

    def now(self) -> int:
        """Tell the moment by the span's own clock."""
        return self.span.start_ns + clock.tick() - self.span._tick  # noqa: SLF001

    def lost(self) -> None:
        """Note that the client is gone before the answer was complete."""
        if not self.gone:
            self.gone = True
            self._ended_ns = self.now()

    def finish(self, error: BaseException | None = None) -> None:
        """End the span: all is sent, the client is gone, or the application has raised."""
        with guard("served.finish"):
            span = self.span
            if span._ended:  # noqa: SLF001
                return
            with guard("served.describe"):
                self._name()
                self._bodies()
            if self.status:
                span.set_attribute("http.response.status_code", self.status)
            span.set_attribute("http.response.body.size", self.sent.size)
            if self.gone and (error is None or _is_leaving(error)):
                span.finish(state="abandoned", end_ns=self._ended_ns or None)
            elif isinstance(error, GeneratorExit):
                span.finish(state="abandoned")
            elif error is not None:
                span.finish(error=error)
            elif not self.status:
                span.finish(error_type="NoResponse", error_message="the application sent no response")
            elif self.status >= STATUS_OF_SERVER_ERRORS:
                span.finish(error_type=str(self.status), error_message=_phrase(self.status))
            else:
                span.finish(status="ok")

    def _name(self) -> None:
        route = self.route()
        if route:
            self.span.set_attribute("http.route", route)
            method = self.span.name.partition(" ")[0]
            if self.span.name != f"{method} {route}":
                self.span.update_name(f"{method} {route}")

    def _bodies(self) -> None:
        span = self.span
        if not span._recorder.full:  # noqa: SLF001
            return
        given = self.received.value()
        if given is None and self._query:
            given = fields(self._query)
        if given is not None:
            span.set_input(given)
        text = self.sent.text()
        if text is not None:
            span.set_output(text)
        for cell, body in (("input", self.received), ("output", self.sent)):
            if body.cut:
                known = (span._attributes or {}).get("spanreel.truncated", {})  # noqa: SLF001
                cut = {"reasons": ["size"], "length": body.size}
                span.set_attribute("spanreel.truncated", {**known, cell: cut})
                span._recorder.loss("capture_truncated", 1)  # noqa: SLF001


def begin(
    middleware: SpanreelMiddleware,
    scope: Any,
    *,
    method: str,
    path: str,
    headers: Iterable[tuple[Any, Any]],
    attributes: dict[str, Any],
) -> tuple[Span, Any] | None:
    """Open the span of a request and make it current; the span and the token to detach by.

    None where nothing is to be recorded by us: recording is off, an outer middleware records already, or
    `skip` says so. A span that is sampled out is returned: nothing below it is recorded either.
    """
    recorder = recorders.active()
    if recorder is None or recorder.rate <= 0.0 or MARK in scope or _told(recorder, middleware.skip, scope):
        return None
    before = contexts.current()
    outer = contexts.variable.set(before)
    try:
        _continue(recorder, headers)
        _belong(recorder, middleware, scope)
        about = {"http.request.method": method, "url.path": path, **attributes}
        text = recorder.capture_attributes({key: value for key, value in about.items() if value})
        name = f"{method} {path}"
        span = recorders.begin(recorder, recorder.label("chain", name), name, "chain", b"", text)
        contexts.attach(span, otel=span.recording and recorder.shows_otel())
    except BaseException:
        contexts.detach(outer)
        raise
    scope[MARK] = span.trace_id
    return span, outer


def _continue(recorder: Recorder, headers: Iterable[tuple[Any, Any]]) -> None:
    """Make the caller's span the parent, unless another OpenTelemetry provider has done so in its way."""
    here = contexts.current()
    theirs = here.get(contexts.OTEL_SPAN_KEY)
    if theirs is not None and theirs is not here.get(contexts.SPAN_KEY):
        identity = theirs.get_span_context()
        if identity.is_valid and not identity.is_remote:
            return
    remote = propagation.incoming(headers)
    if remote is not None:
        contexts.attach(recorders.stand_in(recorder, remote), otel=False)


def _belong(recorder: Recorder, middleware: SpanreelMiddleware, scope: Any) -> None:
    found = {}
    for key, told in (("session.id", middleware.session), ("user.id", middleware.user)):
        value = _told(recorder, told, scope)
        if value is not None and value != "":
            found[key] = str(value)
    if found:
        from spanreel.annotate import Scope

        Scope(found)._attach()  # noqa: SLF001 - undone with the context of the request


def _told(recorder: Recorder, told: Callable[[Any], object] | None, scope: Any) -> object:
    """What a callable of the program's says about a request; None where it fails."""
    if told is None:
        return None
    try:
        return told(scope)
    except Exception as error:
        recorder.loss("middleware_callable_failed", 1)
        logger.debug("a callable given to SpanreelMiddleware failed: %s", failure.message(error))
        return None


def django_route(path: str) -> str:
    """The route of a path in Django's default URL configuration; "" where it has none."""
    urls = sys.modules.get("django.urls")
    if urls is None:
        return ""
    try:
        return "/" + str(urls.resolve(path).route).lstrip("/")
    except Exception:  # Resolver404, and whatever an odd configuration raises
        return ""


def _is_leaving(error: BaseException) -> bool:
    """Whether an application raised because its client is gone."""
    return (
        isinstance(error, OSError)
        or failure.is_cancellation(error)
        or type(error).__name__ == "ClientDisconnect"
    )


def _phrase(status: int) -> str:
    from http import HTTPStatus as Status

    try:
        known: HTTPStatus = Status(status)
    except ValueError:
        return ""
    return known.phrase
