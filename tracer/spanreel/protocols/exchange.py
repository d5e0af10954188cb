"""An attempt's bytes, read once: request, response or events, error, address."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from spanreel.protocols import framing, sse
from spanreel.protocols.shapes import EMPTY, integer, mapping, parse, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.analysis.record import Attempt

HTTP_ERROR = 400
LEFT = ("closed", "collected", "idle")
"""`ending` of an attempt whose reader went away before the end of the stream."""
STREAM_CUT = "stream_cut"
"""error.type of a stream that stopped before its end marker."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP exchange with its JSON parsed. Absent or broken parts are empty."""

    host: str = ""
    port: int | None = None
    path: str = ""
    status: int | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    """The response where it is one JSON object."""
    value: Any = None
    """The response where it is JSON of another kind: a bare array of vectors or of scores."""
    events: tuple[Mapping[str, Any], ...] = ()
    """The JSON objects of a stream; `type` is set from the event's name where they have none."""
    ends: tuple[int, ...] = ()
    """Where each of `events` ends in the response's bytes."""
    chunks: tuple[tuple[int, int], ...] = ()
    """(offset of its first byte, ns since the epoch) of each piece the response came in, as far as recorded."""
    streamed: bool = False
    done: bool = False
    """The end marker `[DONE]` was seen, or the reader left a stream on purpose: nothing was cut."""
    error_type: str | None = None
    error_message: str | None = None
    request_headers: Mapping[str, Any] = field(default_factory=dict)
    """Those that are recorded; names in lower case."""
    response_headers: Mapping[str, Any] = field(default_factory=dict)


def read(attempt: Attempt) -> Exchange:
    """Parse one attempt; total."""
    meta = mapping(attempt.meta)
    host, port, path = address(text(meta.get("url")) or "")
    status = integer(meta.get("status"))
    body: Mapping[str, Any] = EMPTY
    events: tuple[Mapping[str, Any], ...] = ()
    ends: tuple[int, ...] = ()
    response_headers = mapping(meta.get("response_headers"))
    content_type = text(response_headers.get("content-type")) or ""
    value: Any = None
    failed = status is not None and status >= HTTP_ERROR
    # No bytes: they were not captured, or there were none; what that comes to stands in the meta data.
    framed = framing.find(attempt.response, content_type, path) if attempt.response and not failed else None
    streamed = framed is not None
    done = False
    if framed is not None:
        events, ends, done = _events(framed, attempt.response)
        done = done or meta.get("ending") in LEFT
    else:
        value = parse(attempt.response)
        body = error_object(value)
        if failed and not body and sse.looks_like(attempt.response):
            body = next(iter(_events(framing.SSE, attempt.response)[0]), EMPTY)
    error_type, error_message = text(meta.get("error_type")), text(meta.get("error_message"))
    found = http_error(status, body, response_headers) or _stream_error(events)
    if found is not None:
        error_type, error_message = found
    return Exchange(
        host=host, port=port, path=path, status=status, request=mapping(parse(attempt.request)),
        body=body, value=value, events=events, ends=ends, chunks=_chunks(meta), streamed=streamed, done=done,
        error_type=error_type, error_message=error_message,
        request_headers=mapping(meta.get("request_headers")), response_headers=response_headers,
    )  # fmt: skip


@lru_cache(maxsize=256)
def address(url: str) -> tuple[str, int | None, str]:
    """Split a URL into host, port and path; ("", None, "") where it is none."""
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port, parts.path
    except ValueError:
        return "", None, ""


def error_object(value: Any) -> Mapping[str, Any]:
    """Return a response's object; Google's compatible API wraps an error object into a list."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return mapping(value)


def http_error(
    status: int | None, body: Mapping[str, Any], headers: Mapping[str, Any] = EMPTY
) -> tuple[str, str | None] | None:
    """Return (type, message) of a failed exchange: the type is the HTTP status, low in cardinality.

    The provider's own code stands in brackets after its message.
    """
    if status is None or status < HTTP_ERROR:
        return None
    error = body.get("error")
    details = mapping(error)
    message = (
        text(error)
        or text(details.get("message"))
        or _told(body.get("message"))
        or _told(body.get("detail"))
        or text(body.get("Message"))
    )
    code = text(details.get("code")) or text(details.get("type")) or text(details.get("status"))
    if code is None and not details:
        # xAI, TGI and Mistral write their code beside the message.
        code = text(body.get("code")) or text(body.get("error_type")) or _amazon(body, headers)
    if message is not None and code is not None:
        message = f"{message} [{code}]"
    return str(status), message or code


def _amazon(body: Mapping[str, Any], headers: Mapping[str, Any]) -> str | None:
    """Return the name of an AWS exception: `ThrottlingException:http://internal.amazon.com/...`, without that."""
    named = text(headers.get("x-amzn-errortype")) or text(body.get("__type"))
    return named.partition(":")[0].rpartition("#")[2] if named else None


def _told(value: object) -> str | None:
    """Return a message; FastAPI's list of what is wrong with a request (Mistral, vLLM, Fireworks) in one line."""
    if isinstance(value, dict):
        value = value.get("detail")
    if isinstance(value, list):
        return "; ".join(said for item in value if (said := text(mapping(item).get("msg")))) or None
    return text(value)


def event_error(event: Mapping[str, Any]) -> tuple[str, str | None] | None:
    """Return (type, message) of an error that came inside a stream."""
    error = event.get("error")
    details = mapping(error)
    if event.get("type") == "response.failed":
        details = mapping(mapping(event.get("response")).get("error"))
    elif event.get("type") == "error":
        details = details or event
    elif isinstance(mapping(event.get("x_groq")).get("error"), str):
        error = mapping(event.get("x_groq"))["error"]
    elif event.get("type") == "message-end":
        error = mapping(event.get("delta")).get("error")  # Cohere's last event
        if not isinstance(error, str) or not error:
            return None
    elif not error or event.get("object") == "response":
        return None
    kind = details.get("code") or details.get("type") or event.get("error_type")
    kind = str(kind) if isinstance(kind, str | int) else None
    return kind if kind and kind != "error" else "stream_error", text(details.get("message")) or text(error)


def _stream_error(events: tuple[Mapping[str, Any], ...]) -> tuple[str, str | None] | None:
    # An error ends a stream, so that only its last event can hold one.
    return event_error(events[-1]) if events else None


def _chunks(meta: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    start_ns = integer(meta.get("start_ns"))
    if start_ns is None:
        return ()
    found: list[tuple[int, int]] = []
    for pair in sequence(meta.get("chunks")):
        offset, after = (integer(value) for value in pair) if len(sequence(pair)) == 2 else (None, None)
        if offset is None or after is None:
            return ()
        found.append((offset, start_ns + after))
    return tuple(found)


def _events(
    framed: framing.Framing, data: bytes
) -> tuple[tuple[Mapping[str, Any], ...], tuple[int, ...], bool]:
    found: list[Mapping[str, Any]] = []
    ends: list[int] = []
    done = False
    for event in framed.events(data):
        if event.data.startswith(sse.DONE):
            done = True
            continue
        payload = payload_of(event)
        if payload:
            found.append(payload)
            ends.append(event.end)
    return tuple(found), tuple(ends), done


def payload_of(event: sse.Event) -> Mapping[str, Any]:
    """Return the JSON object of an event, with the event's name as `type` where it has none of its own."""
    value = parse(event.data)
    if not isinstance(value, dict):
        return EMPTY
    if event.name and "type" not in value:
        value["type"] = event.name
    return value


def strings(value: object) -> list[str]:
    """Return the strings of a JSON array, or the string itself as the only one."""
    if isinstance(value, str):
        return [value]
    return [item for item in sequence(value) if isinstance(item, str)]
