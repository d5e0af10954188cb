"""The gate before every request: who may ask (Host, Origin, token) and what a page may do (CSP).

The viewer shows what an application said and heard, so the usual ways in are shut: a page of another
site (Origin, Sec-Fetch-Site), a name that was rebound to 127.0.0.1 (Host), and trace content that would
load something from outside (Content-Security-Policy).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE: Final = "spanreel_token"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def policy(*, inline_scripts: Iterable[str], port: int, hosts: Iterable[str]) -> str:
    """Return the Content-Security-Policy; `inline_scripts` are the `sha256-...` of the page's own."""
    sockets = " ".join(
        f"ws://{f'[{host}]' if ':' in host else host}:{port}" for host in sorted(hosts) if host != "::1"
    )
    hashes = " ".join(f"'{digest}'" for digest in inline_scripts)
    return "; ".join(
        [
            "default-src 'self'",
            "img-src 'self' data: blob:",
            "style-src 'self' 'unsafe-inline'",
            "font-src 'self' data:",
            f"script-src 'self' blob: 'wasm-unsafe-eval' {hashes}".rstrip(),
            f"connect-src 'self' {sockets}".rstrip(),
            "worker-src 'self' blob:",
            "frame-src 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
            "object-src 'none'",
        ]
    )


@dataclass(frozen=True, slots=True)
class Rules:
    """What the gate lets through."""

    hosts: frozenset[str]
    """Host names the server answers to, lower case, no port."""
    csp: str
    token: str | None = None


class Gate:
    """ASGI middleware that refuses strangers and puts the security headers on every answer."""

    def __init__(self, app: App, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or pass the request on."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(scope, receive, send, *refusal)
            return
        if self._rules.token is not None and not self._known(headers):
            await self._admit(scope, receive, send)
            return
        await self._app(scope, receive, self._with_headers(scope, send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if hostname(host) not in self._rules.hosts:
            return 400, "This host name is not served here."
        writes = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "Requests of another origin are not answered."
        if writes and origin is None and headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            return 403, "Requests of another origin are not answered."
        cross = headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate"
        return (403, "Requests of another site are not answered.") if cross else None

    def _known(self, headers: dict[str, str]) -> bool:
        token = self._rules.token or ""
        bearer = headers.get("authorization", "")
        if bearer.startswith("Bearer ") and _same(bearer[7:].encode("latin-1"), token):
            return True
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return morsel is not None and _same(morsel.value.encode(), ticket(token))

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Exchange `?token=` for a cookie, so that the token does not stay in the address bar."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for key, value in query if key == "token"]
        token = self._rules.token or ""
        if scope["type"] != "http" or not given or not _same(given[0].encode(), token):
            await _refuse(
                scope, receive, send, 401, "Open the address with the token that `spanreel view` printed."
            )
            return
        rest = urlencode([pair for pair in query if pair[0] != "token"])
        location = quote("/" + scope["path"].lstrip("/\\")) + (f"?{rest}" if rest else "")
        cookie = f"{COOKIE}={ticket(token)}; Path=/; HttpOnly; SameSite=Strict"
        await _answer(send, 303, "", [("location", location), ("set-cookie", cookie)])

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [
                    ("content-security-policy", self._rules.csp),
                    ("x-content-type-options", "nosniff"),
                    ("referrer-policy", "no-referrer"),
                    ("cross-origin-opener-policy", "same-origin"),
                    ("cross-origin-resource-policy", "same-origin"),
                ]
                names = {name.encode() for name, _ in extra}
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in names]
                message["headers"] = kept + [(name.encode(), value.encode()) for name, value in extra]
            await send(message)

        return sending if scope["type"] == "http" else send


def hostname(host_header: str) -> str:
    """Return the name of a Host header, without port and brackets, in lower case; empty if malformed."""
    try:
        return (urlsplit("//" + host_header).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _same(given: bytes, token: str) -> bool:
    return hmac.compare_digest(given, token.encode())


def ticket(token: str) -> str:
    """Return what the cookie holds: any token fits into a header so, and the browser keeps no token."""
    return hashlib.sha256(b"spanreel-viewer:" + token.encode()).hexdigest()


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
        return
    await _answer(send, status, reason + "\n", [])


async def _answer(send: Send, status: int, text: str, headers: list[tuple[str, str]]) -> None:
    body = text.encode()
    fixed = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
    ]
    pairs = [(name.encode(), value.encode()) for name, value in [*fixed, *headers]]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
