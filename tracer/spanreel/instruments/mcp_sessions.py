"""MCP 1.x: requests go through a session, as models; the server answers through a responder."""

from __future__ import annotations

import sys
import typing
import weakref
from collections.abc import Awaitable
from typing import Any

from spanreel.guard import guard
from spanreel.instruments.mcp_requests import Call, Request, receive, send, stamped
from spanreel.instruments.patching import wanted

_versions: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
"""Session -> the protocol version its handshake came to."""
_answering: dict[int, Call] = {}
"""Responder (its id) -> the span of the request that it answers."""


def send_request(wrapped: Any, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a client asks, and what a server asks of its client."""
    if not args and "request" in kwargs:
        args, kwargs = (kwargs["request"],), {key: kwargs[key] for key in kwargs if key != "request"}
    if args and wanted():
        return _sent(wrapped, session, args, kwargs)
    if args and type(getattr(args[0], "root", None)).__name__ == "InitializeRequest":
        return _shaken(session, wrapped(*args, **kwargs))
    return wrapped(*args, **kwargs)


async def _shaken(session: Any, handshake: Awaitable[Any]) -> Any:
    """A handshake outside of every trace: what it comes to holds for the calls inside."""
    result = await handshake
    with guard("mcp.version"):
        _versions[session] = str(result.protocolVersion)
    return result


async def _sent(wrapped: Any, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    asked, *rest = args
    call: Call | None = None
    method = ""
    with guard("mcp.send"):
        request = _request(session, asked)
        method = request.method
        call = send(request)
    with guard("mcp.inject"):
        asked = _carried(asked)
    try:
        result = await wrapped(asked, *rest, **kwargs)
    except BaseException as error:
        if call is not None:
            call.fail(error)
        raise
    if call is not None:
        told: Any = None
        with guard("mcp.result"):
            told = _plain(result)
            if method == "initialize":
                _versions[session] = told["protocolVersion"]
                call.span.set_attribute("mcp.protocol.version", told["protocolVersion"])
            found = _session_of(session)
            if found is not None:
                call.span.set_attribute("mcp.session.id", found)
        call.end(told)
    return result


def _request(session: Any, asked: Any) -> Request:
    told = _plain(asked)
    over = _transport_of(session)
    return Request(
        method=told["method"],
        params=told.get("params"),
        identity=session._request_id,  # noqa: SLF001 - the one it is about to take
        version=_versions.get(session),
        session=_session_of(session),
        transport=over if over is None or over == "pipe" else "tcp",
    )


def _plain(model: Any) -> dict[str, Any]:
    found: dict[str, Any] = model.model_dump(by_alias=True, mode="json", exclude_none=True)
    return found


def _transport_of(session: Any) -> Any:
    from spanreel.instruments import mcp

    return mcp._over.get(mcp._inner(session))  # noqa: SLF001 - one family


def _session_of(session: Any) -> str | None:
    found = getattr(_transport_of(session), "session_id", None)
    return found if isinstance(found, str) else None


def _carried(asked: Any) -> Any:
    """A copy of the request with the current span in its `_meta`; the program's own is left as it is."""
    root = getattr(asked, "root", asked)
    kind = _kind(type(root), "params")
    params = getattr(root, "params", None)
    if kind is None or isinstance(params, dict):
        return asked
    meta = getattr(params, "meta", None)
    told = stamped({} if meta is None else meta.model_dump(by_alias=True, exclude_none=True))
    if told is None:
        return asked
    known = _kind(kind if params is None else type(params), "meta")
    if known is None:
        return asked
    fresh = known.model_validate(told)
    given = kind(_meta=fresh) if params is None else params.model_copy(update={"meta": fresh})
    changed = root.model_copy(update={"params": given})
    return changed if root is asked else asked.model_copy(update={"root": changed})


def _kind(model: Any, field: str) -> Any:
    """The model that a model's field holds, of those that its annotation allows."""
    found = getattr(model, "model_fields", {}).get(field)
    if found is None:
        return None
    choices = typing.get_args(found.annotation) or (found.annotation,)
    return next((kind for kind in choices if hasattr(kind, "model_fields")), None)


def handle_request(wrapped: Any, _server: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a server answers: `(responder, request, session, ...)`."""
    return _answered(wrapped, args, kwargs, args[2] if len(args) > 2 else None)


def received_request(wrapped: Any, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a client answers its server: `(responder)`."""
    return _answered(wrapped, args, kwargs, session)


async def _answered(wrapped: Any, args: tuple[Any, ...], kwargs: dict[str, Any], session: Any) -> Any:
    call: Call | None = None
    responder = args[0] if args else None
    with guard("mcp.receive"):
        if responder is not None:
            call = receive(_received(responder, session))
    if call is None:
        return await wrapped(*args, **kwargs)
    _answering[id(responder)] = call
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException as error:
        if _answering.pop(id(responder), None) is not None:
            call.fail(error)
        raise
    if _answering.pop(id(responder), None) is not None:  # cancelled: nothing was answered
        import asyncio

        call.fail(asyncio.CancelledError())
    return result


def _received(responder: Any, session: Any) -> Request:
    told = _plain(responder.request)
    request = getattr(getattr(responder, "message_metadata", None), "request_context", None)
    headers = getattr(request, "headers", None)
    params = getattr(session, "client_params", None)
    version = None if headers is None else headers.get("mcp-protocol-version")
    return Request(
        method=told["method"],
        params=told.get("params"),
        identity=getattr(responder, "request_id", None),
        version=version or getattr(params, "protocolVersion", None) or _versions.get(session),
        session=None if headers is None else headers.get("mcp-session-id"),
        transport=None if headers is None else "tcp",
    )


def respond(wrapped: Any, responder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The answer that is sent: a result, or an error with its code. The span ends before the client sees it."""
    call = _answering.pop(id(responder), None)
    if call is not None and args:
        with guard("mcp.respond"):
            answer = getattr(args[0], "root", args[0])
            code = getattr(answer, "code", None)
            if code is not None and sys.modules["mcp.types"].ErrorData is type(answer):
                call.refuse(code, str(answer.message))
            else:
                call.end(_plain(answer))
    return wrapped(*args, **kwargs)
