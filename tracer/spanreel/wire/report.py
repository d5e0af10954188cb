"""An exchange that is over -> its attempt record and the end of its span."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from spanreel import recorder
from spanreel.analysis.record import Attempt
from spanreel.protocols import framing, sse, table
from spanreel.protocols.exchange import (
    HTTP_ERROR,
    STREAM_CUT,
    address,
    error_object,
    event_error,
    http_error,
    payload_of,
)
from spanreel.protocols.providers import known
from spanreel.protocols.shapes import parse
from spanreel.protocols.strangers import answers
from spanreel.wire import frames, split
from spanreel.wire.body import Timeline, bounded
from spanreel.wire.headers import REQUEST_ID
from spanreel.wire.retries import AMAZON_CALL, REDIRECTS, Failed, patience, remember

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.protocols.call import Call
    from spanreel.protocols.framing import Framing
    from spanreel.protocols.wire_protocol import WireProtocol
    from spanreel.spans import Span
    from spanreel.wire.body import ChunkLog

Decode = Callable[[str, list[bytes]], list[bytes]]
"""(Content-Encoding, chunks) -> what each chunk decodes to."""

LAST_EVENTS = 3
"""How many of the last events are read for the end of a stream: the finish, the usage, an error."""
_TELLING = ("retry-after", "retry-after-ms", "x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens")
"""Response headers that say why a call was refused and for how long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The request, as far as it is recorded."""

    protocol: WireProtocol
    method: str
    url: str
    headers: dict[str, str]
    request: bytes
    """Bounded and redacted; empty where bodies are not captured."""
    cut: bool
    whole: bytes
    """The request as it was sent, only where bodies are not captured: usage and model are read in-process then."""
    body_sha256: str
    retry_count: int
    waited_ns: int
    """Between the attempts before this one."""
    attributes: dict[str, Any]
    start_ns: int
    tick: int
    limit: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and recorded headers of the response; None while there is none."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    decode: Decode | None = None


@dataclass(slots=True)
class _Received:
    """The response body, decoded, with what can be told from it without folding it."""

    data: bytes
    tail: bytes
    timeline: Timeline
    framing: Framing | None
    whole: bool = True
    first_ns: int | None = None
    error: tuple[str, str | None] | None = None

    @property
    def streamed(self) -> bool:
        return self.framing is not None


def write(
    span: Span, *, sent: Sent, answer: Answer, log: ChunkLog, ending: str, error: BaseException | None,
    end_tick: int,
) -> None:  # fmt: skip
    """Write the attempt record and the end of the span."""
    received = _receive(sent, answer, log)
    if error is None and ending == "exhausted" and _foreign(sent, answer, received):
        span.finish(
            status="ok", attributes=_somebody_elses(sent), end_ns=sent.start_ns + end_tick - sent.tick
        )
        return
    if error is None and received.error is None and not received.whole and ending == "exhausted":
        received.error = STREAM_CUT, "the stream ended before its end marker"
    meta = _meta(sent, answer, log, received, ending)
    meta["end_ns"] = sent.start_ns + end_tick - sent.tick
    if error is not None:
        meta["error_type"] = type(error).__name__
    elif received.error is not None:
        meta["error_type"] = received.error[0]
    attributes = dict(sent.attributes)
    recorded = b""
    if sent.whole:
        meta["chunks"] = [
            list(pair) for pair in zip(received.timeline.starts, received.timeline.times, strict=False)
        ]
        call = table.fold(sent.protocol.name, [Attempt(0, meta, sent.whole, _held(sent, received))])
        attributes |= attributes_of(call)
    else:
        recorded = _recorded(meta, sent, received)
    _clean_headers(meta)
    span.record_attempt(sent.retry_count, meta, *_texts(meta, sent.request, recorded))
    redirected = answer.status in REDIRECTS
    if error is not None or received.error is not None or redirected:
        _remember(span, sent, answer, meta["end_ns"], redirected=redirected)
    first_ns = None if received.first_ns is None else sent.start_ns + received.first_ns
    details: dict[str, Any] = {"attributes": attributes, "first_ns": first_ns, "end_ns": meta["end_ns"]}
    if error is not None:
        span.finish(error=error, **details)
    elif received.error is not None:
        span.finish(error_type=received.error[0], error_message=received.error[1], **details)
    elif ending == "idle" or (ending == "collected" and not (received.streamed and received.whole)):
        span.finish(state="abandoned", **details)
    elif redirected:
        span.finish(**details)
    else:
        span.finish(status="ok", **details)


def _foreign(sent: Sent, answer: Answer, received: _Received) -> bool:
    """Tell an answer that no server of the protocol gives: the program's own service has a path of the same name."""
    if answer.status is None or not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return False
    host, port, _ = address(sent.url)
    if "content-encoding" in answer.headers and not received.data.isascii():
        return False  # maybe an encoding that nothing here undoes
    return not known(host, port) and not answers(sent.protocol.name, received.data, received.tail)


def _somebody_elses(sent: Sent) -> dict[str, Any]:
    """Return the attributes that make a span of a model's one of a plain request, which is on no bill.

    What the start of the span has said of a model is taken back by an empty text.
    """
    return {
        "spanreel.kind": "span",
        "spanreel.name": f"{sent.method} {address(sent.url)[2]}",
        **dict.fromkeys(("spanreel.protocol", *_OF_A_MODEL), ""),
    }


_OF_A_MODEL = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")


def _held(sent: Sent, received: _Received) -> bytes:
    """Return the response as far as it was held, in a form that can be read."""
    if not received.tail:
        return received.data
    return bounded(received.data, received.tail, sent.limit, received.framing)[0]


def _remember(span: Span, sent: Sent, answer: Answer, end_ns: int, *, redirected: bool) -> None:
    """Let the send that repeats this one name it."""
    remember(
        Failed(
            body_sha256=sent.body_sha256, url=sent.url, parent=span.parent, trace=span.trace, span=span.span,
            retry_count=sent.retry_count, end_ns=end_ns, waited_ns=sent.waited_ns,
            patience_ns=patience(answer.headers), call=sent.headers.get(AMAZON_CALL, ""), redirected=redirected,
        )
    )  # fmt: skip


def _receive(sent: Sent, answer: Answer, log: ChunkLog) -> _Received:
    chunks, tail = log.chunks, log.tail()
    encoding = answer.headers.get("content-encoding", "")
    if answer.decode is not None and encoding not in {"", "identity"}:
        chunks, tail = answer.decode(encoding, chunks), b""
    timeline = Timeline(chunks, [tick - sent.tick for tick in log.ticks])
    data = b"".join(chunks)
    framed = framing.find(data, answer.headers.get("content-type", ""), address(sent.url)[2])
    received = _Received(data, tail, timeline, framed)
    if answer.status is not None and answer.status >= HTTP_ERROR:
        found = http_error(answer.status, error_object(parse(data)), answer.headers)
        if found is not None:
            received.error = found[0], found[1] or _untold(answer.status, answer.headers, unread=not log.size)
    elif framed is not None:
        _read_stream(sent.protocol, framed, received)
    return received


def _untold(status: int, headers: Mapping[str, str], *, unread: bool) -> str | None:
    """Return what can be said of a failure whose body tells nothing: the meaning of its status, and its headers.

    OpenAI's client closes a refused stream unread before it tries again, and reading it here instead would
    make the program wait for bytes that it did not want.
    """
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    told = [f"{name}: {headers[name]}" for name in _TELLING if name in headers]
    parts = [phrase, "the client did not read the answer" if unread else "", ", ".join(told)]
    return "; ".join(part for part in parts if part) or None


def _read_stream(protocol: WireProtocol, framed: Framing, received: _Received) -> None:
    """Find the first token from the front, end and error from the back; the middle is left to the ingest."""
    for event in framed.events(received.data):
        if protocol.carries_output(payload_of(event)):
            received.first_ns = received.timeline.at(event.end - 1)
            break
    end = received.tail or received.data
    last = [payload_of(event) for event in framed.last(end, LAST_EVENTS)]
    received.whole = sse.DONE in end[-64:] or any(protocol.ends(event) for event in last)
    received.error = next((found for event in last if (found := event_error(event)) is not None), None)


def _meta(sent: Sent, answer: Answer, log: ChunkLog, received: _Received, ending: str) -> dict[str, Any]:
    response_headers = {name: value for name, value in answer.headers.items() if name != "content-encoding"}
    meta: dict[str, Any] = {
        "protocol": sent.protocol.name,
        "method": sent.method,
        "url": sent.url,
        "status": answer.status,
        "request_id": next((response_headers[name] for name in REQUEST_ID if name in response_headers), None),
        "start_ns": sent.start_ns,
        "first_ns": None if received.first_ns is None else sent.start_ns + received.first_ns,
        "ending": ending,
        "retry_count": sent.retry_count,
        "body_sha256": sent.body_sha256,
        "request_headers": sent.headers,
        "response_headers": response_headers,
        "response_bytes": log.size,
        "content_encoding": answer.headers.get("content-encoding"),
        "truncated": True if sent.cut or log.cut else None,
    }
    return {key: value for key, value in meta.items() if value is not None}


def _clean_headers(meta: dict[str, Any]) -> None:
    """Take secrets out of the headers' values: a program may put one anywhere, and a gateway may send it back."""
    active = recorder.active()
    if active is None:
        return
    clean = active.redactor.text
    headers: list[dict[str, str]] = [meta["request_headers"], meta["response_headers"]]
    together = "\n".join(value for found in headers for value in found.values())
    if clean(together) == together:
        return
    for key in ("request_headers", "response_headers"):
        meta[key] = {name: clean(value) for name, value in meta[key].items()}
    if "request_id" in meta:
        meta["request_id"] = clean(meta["request_id"])


def _recorded(meta: dict[str, Any], sent: Sent, received: _Received) -> bytes:
    """Return the response as it is recorded: bounded and redacted, with the chunks' places in it."""
    active = recorder.active()
    if active is None:
        return b""
    kept, untouched = bounded(received.data, received.tail, sent.limit, received.framing)
    if sent.cut or len(kept) != len(received.data) + len(received.tail):
        meta["truncated"] = True
        recorder.loss("wire_truncated")
    chunks = [
        pair
        for pair in zip(received.timeline.starts, received.timeline.times, strict=False)
        if pair[0] <= untouched
    ]
    offsets = [start for start, _ in chunks]
    if received.framing in {framing.SSE, framing.LINES}:
        recorded, offsets = active.redactor.sse_bytes(kept, offsets)
        recorded, offsets = split.without_secrets(recorded, offsets, active.redactor)
    elif received.framing is framing.FRAMES:
        recorded, offsets = frames.clean(kept, offsets, active.redactor)
    else:
        recorded = active.redactor.json_bytes(kept)
        offsets = [min(start, len(recorded)) for start in offsets]
    meta["chunks"] = [[start, time] for start, (_, time) in zip(offsets, chunks, strict=True)]
    return recorded


def _texts(meta: dict[str, Any], request: bytes, response: bytes) -> tuple[bytes, bytes]:
    """Return both bodies, in base64 where one of them is no UTF-8."""
    try:
        request.decode()
        response.decode()
    except UnicodeDecodeError:
        meta["encoding"] = "base64"
        return base64.b64encode(request), base64.b64encode(response)
    return request, response


_WORDS = frozenset({
    "gen_ai.request.stop_sequences", "anthropic.message.stop_sequence", "anthropic.message.stop_details",
})  # fmt: skip
"""Parameters that hold the user's words or the model's."""


def attributes_of(call: Call) -> dict[str, Any]:
    """Return what of a call is no content: the attributes of a span whose bodies are not captured."""
    found: dict[str, Any] = {
        **{
            key: value
            for key, value in call.parameters.items()
            if key not in _WORDS and not key.startswith("spanreel.")
        },
        "gen_ai.provider.name": call.provider or None,
        "gen_ai.response.model": call.response_model,
        "gen_ai.response.id": call.response_id,
        "gen_ai.response.finish_reasons": list(call.finish_reasons) or None,
        "gen_ai.request.stream": True if call.stream else None,
        "spanreel.first_visible_ns": call.first_visible_ns,
    }
    if call.usage is not None:
        usage = call.usage
        found |= {
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
            "gen_ai.usage.cache_write.input_tokens": usage.cache_write_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
            "gen_ai.usage.audio.input_tokens": usage.audio_input_tokens,
            "gen_ai.usage.audio.output_tokens": usage.audio_output_tokens,
            "gen_ai.usage.audio.cache_read.input_tokens": usage.audio_cache_read_tokens,
            "gen_ai.usage.image.input_tokens": usage.image_input_tokens,
            "gen_ai.usage.image.output_tokens": usage.image_output_tokens,
            "spanreel.usage.cache_write_1h_tokens": usage.cache_write_1h_tokens,
            "spanreel.usage.search_units": usage.search_units,
            "spanreel.usage.web_searches": usage.web_searches,
            "spanreel.cost_usd": usage.cost_usd,
        }
    return _present(found)


def _present(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value is not None}
