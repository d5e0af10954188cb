"""One HTTP exchange being recorded, whatever library carries it: begun, answered, noted chunk by chunk, ended.

A hook calls `begin` before it sends, runs the library's own code outside of any guard, and tells the
`Recording` what happened. Nothing here raises into the hook, and nothing is written until the end but the
span's start (with the request as its input), so that a chunk costs two list appends.
"""

from __future__ import annotations

import atexit
import os
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from spanreel import clock, recorder
from spanreel.guard import guard
from spanreel.protocols import table
from spanreel.protocols.providers import provider
from spanreel.protocols.shapes import parse
from spanreel.wire import retries
from spanreel.wire.body import KEEP_FACTOR, ChunkLog, bounded
from spanreel.wire.headers import REQUEST, RESPONSE, pick
from spanreel.wire.report import Answer, Decode, Sent, write

if TYPE_CHECKING:
    from spanreel.spans import Span
    from spanreel.wire.headers import Headers

nested: ContextVar[bool] = ContextVar("spanreel-wire-nested", default=False)
"""Set while a recorded send is under way: hooks of the libraries below it leave it alone."""

Ending = Literal["exhausted", "closed", "raised", "collected"]

_live: weakref.WeakSet[Recording] = weakref.WeakSet()


class Address(NamedTuple):
    """Where a request goes, without credentials and query."""

    scheme: str
    host: str
    port: int | None
    path: str

    def url(self) -> str:
        """Return the URL that is recorded."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{f':{self.port}' if self.port is not None else ''}{self.path}"


def wanted() -> bool:
    """Tell whether a call made here and now is to be recorded."""
    scope = recorder.scope()
    if scope == "off" or (scope == "trace" and not recorder.inside_trace()):
        return False
    return not nested.get()


def begin(
    *, method: str, address: Address, headers: Headers, retry_header: str | None, body: bytes
) -> Recording | None:
    """Open the span of a request that one of the protocols recognises; None for all others. Never raises."""
    try:
        return _begin(method, address, headers, retry_header, body)
    except Exception as error:
        guard.caught("wire.begin", error)
        return None


def _begin(
    method: str, address: Address, headers: Headers, retry_header: str | None, body: bytes
) -> Recording | None:
    request = parse(body)
    protocol = table.find(address.path, request) if isinstance(request, dict) else None
    active = recorder.active()
    if protocol is None or active is None:
        return None
    limit = active.settings.body_limit
    recorded, cut = b"", False
    if active.settings.capture == "full":
        recorded, untouched = bounded(body, b"", limit * KEEP_FACTOR)
        cut = untouched < len(body)
        recorded = active.redactor.json_bytes(recorded)
    model = protocol.model(address.path, request)
    attributes: dict[str, Any] = {
        "spanreel.protocol": protocol.name,
        "gen_ai.operation.name": protocol.operation,
        "gen_ai.provider.name": provider(address.host, address.port, protocol.name),
        "gen_ai.request.model": model,
        "server.address": address.host,
        "server.port": address.port,
    }
    if request.get("stream") is True:
        attributes["gen_ai.request.stream"] = True
    span = recorder.start(
        f"{protocol.operation} {model}" if model else protocol.operation,
        protocol.kind,
        attributes={key: value for key, value in attributes.items() if value is not None},
        input_json=_one_line(recorded) if len(recorded) <= limit else b"",
    )
    if not span.recording:
        return None
    span.mark_prompts(body)
    url = active.redactor.text(address.url())
    body_sha256 = retries.digest(body)
    count, linked = retries.link(body_sha256=body_sha256, header=retry_header, parent=span.parent, url=url)
    sent = Sent(
        protocol=protocol, method=method, url=url, headers=pick(headers, REQUEST), request=recorded, cut=cut,
        whole=body if active.settings.capture != "full" else b"", body_sha256=body_sha256, retry_count=count,
        attributes=linked, start_ns=clock.now(), tick=clock.tick(), limit=limit * KEEP_FACTOR,
    )  # fmt: skip
    return Recording(span, sent)


_WHITE_SPACE = bytes.maketrans(b"\r\n\t", b"   ")


def _one_line(text: bytes) -> bytes:
    """JSON text without the white space that separates records; inside its strings there is none."""
    return text.translate(_WHITE_SPACE)


class Recording:
    """The state of one exchange. Every method may be called from any thread, and after the end."""

    __slots__ = ("__weakref__", "_answer", "_finished", "_pid", "_sent", "log", "span")

    def __init__(self, span: Span, sent: Sent) -> None:
        self.span = span
        self.log = ChunkLog()
        self._sent = sent
        self._answer = Answer()
        self._finished = False
        self._pid = os.getpid()
        _live.add(self)

    def answered(self, status: int, headers: Headers, decode: Decode | None) -> None:
        """Take status and headers; `decode(encoding, chunks)` undoes Content-Encoding chunk by chunk."""
        self._answer = Answer(status, pick(headers, RESPONSE), decode)

    def finish(self, ending: Ending, error: BaseException | None = None) -> None:
        """Write the attempt and end the span; only the first call counts."""
        if self._finished:
            return
        self._finished = True
        if self._pid != os.getpid():
            return  # a copy in a forked child: the parent writes it
        with guard("wire.finish"):
            write(self.span, sent=self._sent, answer=self._answer, log=self.log, ending=ending, error=error)
        self.span.finish()  # ignored after a proper end; a span whose report failed must not stay open

    def __del__(self) -> None:
        if not self._finished:
            self.finish("collected")


@atexit.register
def _finish_live() -> None:
    """End what is still streaming when the interpreter exits, with what has come."""
    for recording in list(_live):
        recording.finish("collected")
