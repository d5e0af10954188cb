"""One HTTP exchange being recorded, whatever library carries it: begun, answered, noted chunk by chunk, ended.

A hook calls `begin` before it sends, runs the library's own code outside of any guard, and tells the
`Recording` what happened. Nothing here raises into the hook, and nothing is written until the end but the
span's start (with the request as its input), so that a chunk costs two list appends.
"""

from __future__ import annotations

import atexit
import os
import weakref
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from spanreel import clock, recorder
from spanreel import context as contexts
from spanreel.guard import guard
from spanreel.protocols import table
from spanreel.protocols.providers import provider
from spanreel.protocols.shapes import parse
from spanreel.wire import nesting, retries
from spanreel.wire.body import KEEP_FACTOR, ChunkLog, bounded
from spanreel.wire.headers import REQUEST, RESPONSE, pick
from spanreel.wire.report import Answer, Decode, Sent, write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.protocols.wire_protocol import WireProtocol
    from spanreel.recorder import Recorder
    from spanreel.spans import Span
    from spanreel.wire.headers import Headers

Ending = Literal["exhausted", "closed", "raised", "collected", "idle"]

IDLE_NS = 600 * 10**9
"""A response of which no byte came for so long is abandoned: who read it has forgotten it, or hangs."""

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
    return not nesting.inside()


def begin(*, method: str, address: Address, headers: Headers, body: bytes) -> Recording | None:
    """Open the span of a request that one of the protocols recognises; None for all others. Never raises."""
    try:
        return _begin(method, address, headers, body)
    except Exception as error:
        guard.caught("wire.begin", error)
        return None


def _begin(method: str, address: Address, headers: Headers, body: bytes) -> Recording | None:
    request = parse(body)
    protocol = (
        table.find(address.path, request, address.host, address.port) if isinstance(request, dict) else None
    )
    active = recorder.active()
    if protocol is None or active is None:
        return None
    limit = active.settings.body_limit
    recorded, cut = b"", False
    if active.settings.capture == "full":
        recorded, untouched = bounded(body, b"", limit * KEEP_FACTOR)
        cut = untouched < len(body)
        recorded = active.redactor.json_bytes(recorded)
    sent_headers, url = pick(headers, REQUEST), active.redactor.text(address.url())
    body_sha256 = retries.digest(body)
    before = _before(active, body_sha256, url, sent_headers)
    model = protocol.model(address.path, request)
    span = _start(
        before,
        f"{protocol.operation} {model}" if model else protocol.operation,
        protocol.kind,
        _attributes(protocol, address, request, model),
        _one_line(recorded) if len(recorded) <= limit else b"",
    )
    if not span.recording:
        return None
    span.mark_prompts(body)
    start_ns = clock.now()
    count, waited_ns, linked = retries.link(before, headers=sent_headers, start_ns=start_ns)
    sent = Sent(
        protocol=protocol, method=method, url=url, headers=sent_headers, request=recorded, cut=cut,
        whole=body if active.settings.capture != "full" else b"", body_sha256=body_sha256, retry_count=count,
        waited_ns=waited_ns, attributes=linked, start_ns=start_ns, tick=clock.tick(), limit=limit * KEEP_FACTOR,
    )  # fmt: skip
    return Recording(span, sent)


def _attributes(
    protocol: WireProtocol, address: Address, request: Mapping[str, Any], model: str | None
) -> dict[str, Any]:
    """What is known of a call before it is sent."""
    attributes: dict[str, Any] = {
        "spanreel.protocol": protocol.name,
        "gen_ai.operation.name": protocol.operation,
        "gen_ai.provider.name": provider(address.host, address.port, protocol.name),
        "gen_ai.request.model": model,
        "gen_ai.request.stream": True if request.get("stream") is True else None,
        "server.address": address.host,
        "server.port": address.port,
    }
    return {key: value for key, value in attributes.items() if value is not None}


def _before(
    active: Recorder, body_sha256: str, url: str, headers: Mapping[str, str]
) -> retries.Failed | None:
    """Return the failed attempt that a send repeats, made below the same span, or both below none of ours."""
    here = contexts.current()
    above = here.get(contexts.SPAN_KEY)
    if above is not None:
        parent = above.span if above.recording else b""
    else:
        place = active.root(here, decided=True) if here.get(contexts.OTEL_SPAN_KEY) is not None else None
        parent = place[1] if place is not None else b""
    return retries.find(body_sha256=body_sha256, url=url, parent=parent, headers=headers, at_ns=clock.now())


def _start(
    before: retries.Failed | None, name: str, kind: str, attributes: Mapping[str, Any], input_json: bytes
) -> Span:
    """Open the span; the retry of a call outside of any trace joins the trace that the first attempt began."""
    active = recorder.active()
    if active is None or before is None or before.parent or recorder.inside_trace():
        return recorder.start(name, kind, attributes=attributes, input_json=input_json)
    beside = recorder.stand_in(active, contexts.Remote(before.trace, b"", sampled=True, ours=True))
    token = contexts.attach(beside, otel=False)
    try:
        return recorder.start(name, kind, attributes=attributes, input_json=input_json)
    finally:
        contexts.detach(token)


_WHITE_SPACE = bytes.maketrans(b"\r\n\t", b"   ")


def _one_line(text: bytes) -> bytes:
    """JSON text without the white space that separates records; inside its strings there is none."""
    return text.translate(_WHITE_SPACE)


class Recording:
    """The state of one exchange. Every method may be called from any thread, and after the end."""

    __slots__ = ("__weakref__", "_answer", "_answered", "_open", "_pid", "_sent", "log", "span")

    def __init__(self, span: Span, sent: Sent) -> None:
        self.span = span
        self.log = ChunkLog()
        self._sent = sent
        self._answer = Answer()
        self._answered = 0
        self._open = [True]
        self._pid = os.getpid()
        _live.add(self)

    def answered(self, status: int, headers: Headers, decode: Decode | None) -> None:
        """Take status and headers; `decode(encoding, chunks)` undoes Content-Encoding chunk by chunk."""
        self._answer = Answer(status, pick(headers, RESPONSE), decode)
        self._answered = clock.tick()

    def idle_since(self) -> int | None:
        """Return the tick of the last sign of life of a response that is under way."""
        return max(self._answered, self.log.latest) if self._answered and self._open else None

    def finish(self, ending: Ending, error: BaseException | None = None, *, end_tick: int = 0) -> None:
        """Write the attempt and end the span; only the first call counts."""
        try:
            self._open.pop()  # in one step: a thread may read the stream while another finds it idle
        except IndexError:
            return
        if self._pid != os.getpid():
            return  # a copy in a forked child: the parent writes it
        with guard("wire.finish"):
            write(
                self.span, sent=self._sent, answer=self._answer, log=self.log, ending=ending, error=error,
                end_tick=end_tick or clock.tick(),
            )  # fmt: skip
        self.log.close()
        self.span.finish()  # ignored after a proper end; a span whose report failed must not stay open

    def __del__(self) -> None:
        if self._open:
            self.finish("collected", end_tick=self.idle_since() or 0)  # whenever it is that memory is freed


def end_idle(now_tick: int) -> None:
    """End the responses of which no byte came for `IDLE_NS`, as of their last. Called by the journal's thread."""
    try:
        live = list(_live)
    except RuntimeError:  # one was begun meanwhile; the next round will do
        return
    for recording in live:
        since = recording.idle_since()
        if since is not None and now_tick - since >= IDLE_NS:
            recording.finish("idle", end_tick=since)


@atexit.register
def _finish_live() -> None:
    """End what is still streaming when the interpreter exits, with what has come."""
    for recording in list(_live):
        recording.finish("collected")
