"""MCP, the Python SDK: each request is a span where it is sent and one where it is answered, in one trace.

Of 2.x the dispatchers are wrapped, through which every request of both directions goes, and the two places
that answer; of 1.x the session's and the server's. fastmcp is built on these. What a client does with `roots`,
sampling and elicitation is answered below the span of the server's that asked.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import wrapt

from spanreel import recorder as recorders
from spanreel.guard import guard
from spanreel.instruments import mcp_sessions
from spanreel.instruments.mcp_requests import Call, Request, carried, receive, send
from spanreel.instruments.patching import Patches, wanted

PIPE, TCP = "pipe", "tcp"
_spawned: ContextVar[int] = ContextVar("spanreel-mcp-spawned", default=0)
"""Servers started as processes here for which no session was made yet."""
_over: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
"""What a session writes to -> the HTTP transport that sends it, or `PIPE`."""
_versions: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
"""Dispatcher -> the protocol version its handshake came to."""


def install(module: ModuleType) -> Callable[[], None]:
    """Wrap what one of the modules of `mcp` has of it."""
    patches = Patches()
    name = module.__name__
    if name in {"mcp.shared.jsonrpc_dispatcher", "mcp.shared.direct_dispatcher"}:
        for kind in ("JSONRPCDispatcher", "DirectDispatcher"):
            if kind in vars(module):
                _watch(patches, vars(module)[kind], "send_raw_request", _send)
                _watch(patches, vars(module)[kind], "__init__", _made)
    elif name == "mcp.server.runner":
        _watch(patches, vars(module).get("ServerRunner"), "_on_request", _answer)
    elif name == "mcp.client.session":
        _watch(patches, vars(module).get("ClientSession"), "_on_request", _answer)
        _watch(patches, vars(module).get("ClientSession"), "_received_request", mcp_sessions.received_request)
    elif name == "mcp.client.streamable_http":
        _watch(patches, vars(module).get("StreamableHTTPTransport"), "post_writer", _posting)
    elif name == "mcp.client.stdio":
        _watch(patches, module, "_create_platform_compatible_process", _spawning)
    elif name == "mcp.shared.session":
        _watch(patches, vars(module).get("BaseSession"), "send_request", mcp_sessions.send_request)
        _watch(patches, vars(module).get("BaseSession"), "__init__", _made)
        _watch(patches, vars(module).get("RequestResponder"), "respond", mcp_sessions.respond)
    elif name == "mcp.server.lowlevel.server":
        _watch(patches, vars(module).get("Server"), "_handle_request", mcp_sessions.handle_request)
    return patches.undo


def _watch(patches: Patches, owner: Any, name: str, hook: Any) -> None:
    """Put in a wrapper that is called inside of a trace and outside: what is answered may bring its trace along."""
    original = None if owner is None else vars(owner).get(name)
    if original is None:
        return

    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if patches.on and recorders.scope() != "off":
            return hook(wrapped, instance, args, kwargs)
        return wrapped(*args, **kwargs)

    patches.replace(owner, name, wrapt.FunctionWrapper(original, call))


def _send(wrapped: Any, dispatcher: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if len(args) >= 2 and wanted():
        return _sent(wrapped, dispatcher, args, kwargs)
    if args[:1] == ("initialize",):
        return _shaken(dispatcher, wrapped(*args, **kwargs))
    return wrapped(*args, **kwargs)


async def _shaken(dispatcher: Any, handshake: Awaitable[Any]) -> Any:
    """A handshake outside of every trace: what it comes to holds for the calls inside."""
    result = await handshake
    with guard("mcp.version"):
        _versions[dispatcher] = str(result["protocolVersion"])
    return result


async def _sent(wrapped: Any, dispatcher: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    method, params, *rest = args
    call: Call | None = None
    with guard("mcp.send"):
        call = send(_request(dispatcher, method, params, rest[0] if rest else kwargs.get("opts")))
    with guard("mcp.inject"):
        params = carried(params) or params
    try:
        result = await wrapped(method, params, *rest, **kwargs)
    except BaseException as error:
        if call is not None:
            call.fail(error)
        raise
    if call is not None:
        with guard("mcp.result"):
            if method == "initialize":
                _versions[dispatcher] = str(result["protocolVersion"])
            call.span.set_attributes(_learnt(dispatcher))
        call.end(result)
    return result


def _request(dispatcher: Any, method: str, params: Any, options: Any) -> Request:
    identity = (options or {}).get("request_id")
    if identity is None and hasattr(dispatcher, "_pending"):
        identity = dispatcher._next_id + 1  # noqa: SLF001 - the one it is about to take
    over = _over.get(_inner(dispatcher))
    return Request(
        method=method,
        params=params if isinstance(params, Mapping) else None,
        identity=identity,
        version=_versions.get(dispatcher),
        session=_session(dispatcher),
        transport=over if over is None or over == PIPE else TCP,
    )


def _learnt(dispatcher: Any) -> dict[str, str]:
    """What is known of a connection once it has answered."""
    found = {"mcp.protocol.version": _versions.get(dispatcher), "mcp.session.id": _session(dispatcher)}
    return {key: value for key, value in found.items() if value is not None}


def _session(dispatcher: Any) -> str | None:
    found = getattr(_over.get(_inner(dispatcher)), "session_id", None)
    return found if isinstance(found, str) else None


def _inner(dispatcher: Any) -> Any:
    """The stream itself: what wraps it cannot be looked up."""
    stream = getattr(dispatcher, "_write_stream", None)
    return getattr(stream, "_inner", stream) if stream is not None else dispatcher


def _made(wrapped: Any, dispatcher: Any, args: Any, kwargs: Any) -> Any:
    result = wrapped(*args, **kwargs)
    with guard("mcp.made"):
        waiting = _spawned.get()
        stream = _inner(dispatcher)
        if waiting and stream is not dispatcher and stream not in _over:
            _spawned.set(waiting - 1)
            _over[stream] = PIPE
    return result


def _posting(wrapped: Any, transport: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with guard("mcp.posting"):
        stream = kwargs.get("write_stream", args[3] if len(args) > 3 else None)
        if stream is not None:
            _over[getattr(stream, "_inner", stream)] = transport
    return wrapped(*args, **kwargs)


async def _spawning(wrapped: Any, _module: Any, args: Any, kwargs: Any) -> Any:
    process = await wrapped(*args, **kwargs)
    _spawned.set(_spawned.get() + 1)
    return process


async def _answer(wrapped: Any, runner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    call: Call | None = None
    with guard("mcp.receive"):
        if len(args) >= 3:
            call = receive(_received(runner, *args[:3]))
    if call is None:
        return await wrapped(*args, **kwargs)
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException as error:
        call.fail(error)
        raise
    call.end(result)
    return result


def _received(runner: Any, given: Any, method: str, params: Any) -> Request:
    headers = _headers(given)
    version = getattr(getattr(runner, "connection", None), "protocol_version", None)
    version = version or getattr(runner, "protocol_version", None)
    return Request(
        method=method,
        params=params if isinstance(params, Mapping) else None,
        identity=getattr(given, "request_id", None),
        version=version if isinstance(version, str) else None,
        session=None if headers is None else headers.get("mcp-session-id"),
        transport=None if headers is None else TCP,
    )


def _headers(given: Any) -> Any:
    """The headers of the HTTP request that brought a message."""
    metadata = getattr(given, "message_metadata", None)
    request = getattr(metadata, "request_context", None)
    found = getattr(request, "headers", None)
    return found if found is not None else getattr(getattr(given, "transport", None), "headers", None)
