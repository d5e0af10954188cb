"""One MCP request as a span, on the side that sends it and on the side that answers it.

A call of a tool is a tool span where it is sent; everything else, and the answering side of a call that is a span
of ours already, is a plain one. W3C's `traceparent` goes along in `params._meta`, unprefixed, as MCP has it; where
another OpenTelemetry provider is active that name is its own, and ours goes beside it, under `spanreel`.

A call from below the tool span of the same tool (a framework's, or a `@trace.tool` of the same name) is that span:
none is opened below it, it gains what MCP tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace as otel

from spanreel import context as contexts
from spanreel import propagation
from spanreel import recorder as recorders
from spanreel.guard import guard
from spanreel.spans import Span

OWN = "spanreel"
"""Our key in `_meta` where `traceparent` is somebody else's."""
CALL = "tools/call"
VERSION = "io.modelcontextprotocol/protocolVersion"
"""Where requests of 2026-07-28 and later tell their version in `_meta`."""
_TEXT = 1000


@dataclass(slots=True, kw_only=True)
class Request:
    """One request, as JSON-RPC has it, and what is known of the connection it goes over."""

    method: str
    params: Mapping[str, Any] | None = None
    identity: Any = None
    version: str | None = None
    session: str | None = None
    transport: str | None = None
    """`pipe` or `tcp`; None within one process, and where it is not known."""

    @property
    def name(self) -> str | None:
        """The tool or prompt that is asked for."""
        found = (self.params or {}).get("name")
        return found if isinstance(found, str) and self.method in {CALL, "prompts/get"} else None

    @property
    def meta(self) -> Mapping[str, Any]:
        """What goes beside the parameters."""
        found = (self.params or {}).get("_meta")
        return found if isinstance(found, Mapping) else {}

    def attributes(self) -> dict[str, Any]:
        """The attributes that MCP's conventions have."""
        given = self.params or {}
        found = {
            "mcp.method.name": self.method,
            "mcp.protocol.version": self.version or self.meta.get(VERSION),
            "mcp.session.id": self.session,
            "mcp.resource.uri": given.get("uri") if self.method.startswith("resources/") else None,
            "jsonrpc.request.id": None if self.identity is None else str(self.identity),
            "network.transport": self.transport,
            "gen_ai.operation.name": "execute_tool" if self.method == CALL else None,
            "gen_ai.tool.name": self.name if self.method == CALL else None,
            "gen_ai.prompt.name": self.name if self.method == "prompts/get" else None,
        }
        return {key: str(value) for key, value in found.items() if value is not None}


class Call:
    """A request under way: its span, current from `start` to its end."""

    __slots__ = ("_method", "_outer", "span")

    def __init__(self, span: Span, outer: Any, method: str) -> None:
        self.span = span
        self._outer = outer
        self._method = method

    def end(self, result: Any) -> None:
        """End the span with the result, as JSON-RPC has it; a tool may have answered that it failed."""
        contexts.detach(self._outer)
        with guard("mcp.end"):
            recorder = self.span._recorder  # noqa: SLF001 - one family with the span
            told = {key: value for key, value in result.items() if key != "_meta"} if result else result
            output = recorder.capture(told) if recorder.full else b""
            self.span.note_cut("output", output)
            if self._method == CALL and isinstance(result, Mapping) and result.get("isError") is True:
                self.span.set_attribute("error.type", "tool_error")
                self.span.finish(error_type="tool_error", error_message=_said(result), output_json=output)
            else:
                self.span.finish(status="ok", output_json=output)

    def fail(self, error: BaseException) -> None:
        """End the span with what was raised; an error of JSON-RPC's has a code."""
        contexts.detach(self._outer)
        with guard("mcp.fail"):
            code = getattr(getattr(error, "error", None), "code", None)
            known = {} if code is None else {"rpc.response.status_code": str(code), "error.type": str(code)}
            self.span.finish(error=error, attributes=known)

    def refuse(self, code: Any, message: str) -> None:
        """End the span of a request that is answered with an error."""
        contexts.detach(self._outer)
        with guard("mcp.refuse"):
            self.span.set_attributes({"rpc.response.status_code": str(code), "error.type": str(code)})
            self.span.finish(error_type=str(code), error_message=message)


def send(request: Request) -> Call | None:
    """Open the span of a request that is sent here, and make it current; None where there is to be none."""
    recorder = recorders.active()
    if recorder is None or recorder.rate <= 0.0:
        return None
    above = contexts.current().get(contexts.SPAN_KEY)
    if request.method == CALL and above is not None and _is_of(above, request.name):
        about = request.attributes()
        about.pop("gen_ai.operation.name", None)
        above.set_attributes(about)
        return None
    return _open(recorder, request, "tool" if request.method == CALL else "span")


def receive(request: Request) -> Call | None:
    """Open the span of a request that is answered here, below the span that it was sent from."""
    recorder = recorders.active()
    scope = recorders.scope()
    if recorder is None or recorder.rate <= 0.0 or scope == "off":
        return None
    own = request.meta.get(OWN)
    remote = propagation.incoming((own if isinstance(own, Mapping) else request.meta).items())
    here = contexts.SPAN_KEY in contexts.current()
    if remote is None and not here and scope != "all":
        return None
    outer = contexts.variable.set(contexts.current())
    try:
        if remote is not None and (remote.ours or not here):
            contexts.attach(recorders.stand_in(recorder, remote), otel=False)
        known = remote is not None and remote.ours  # the other side's is the tool span
        call = _open(recorder, request, "tool" if request.method == CALL and not known else "span")
    except BaseException:
        contexts.detach(outer)
        raise
    call._outer = outer  # noqa: SLF001 - undoes both
    return call


def carried(params: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """`params` with the current span in its `_meta`; None where there is nothing to carry."""
    given = dict(params or {})
    meta = given.get("_meta")
    told = stamped(meta if isinstance(meta, Mapping) else {})
    return None if told is None else {**given, "_meta": told}


def stamped(meta: Mapping[str, Any]) -> dict[str, Any] | None:
    """`_meta` with the current span in it; None outside of a trace. A `traceparent` of the program's own stays."""
    found: dict[str, Any] = {}
    propagation.inject(found)
    if not found:
        return None
    if otel._TRACER_PROVIDER is not None or "traceparent" in meta:  # noqa: SLF001 - as the recorder asks
        return {**meta, OWN: found}
    return {**meta, **found}


def _open(recorder: recorders.Recorder, request: Request, kind: str) -> Call:
    name = f"{request.method} {request.name}" if request.name else request.method
    given = request.params or {}
    if request.method == CALL:
        given = given.get("arguments") or {}
    text = b""
    if recorder.full:
        text = recorder.capture({key: value for key, value in given.items() if key != "_meta"})
    about = recorder.capture_attributes(request.attributes())
    span = recorders.begin(recorder, recorder.label(kind, name), name, kind, text, about)
    if span.recording:
        span.note_cut("input", text)
    outer = contexts.attach(span, otel=span.recording and recorder.shows_otel())
    return Call(span, outer, request.method)


def _is_of(above: Span, tool: str | None) -> bool:
    """Whether a span is the tool span of `tool` already."""
    if above.kind != "tool" or not tool:
        return False
    known = (above._attributes or {}).get("gen_ai.tool.name")  # noqa: SLF001 - what it was told so far
    return tool in {known, above.name} or above.name == f"execute_tool {tool}"


def _said(result: Mapping[str, Any]) -> str:
    """The first text of a result."""
    for part in result.get("content") or ():
        if isinstance(part, Mapping) and isinstance(part.get("text"), str):
            return str(part["text"][:_TEXT])
    return ""
