"""The common part of the loopback providers: HTTP/1.1 on a free port, replies whole or piece by piece, cuts, pauses.

A provider subclasses `Loopback` and says in `reply()` what it answers; everything else is here.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any
    raw: bytes


@dataclass
class Reply:
    """What is sent: one body, or pieces that are sent one by one in a chunked body."""

    body: bytes | list[bytes] = b"{}"
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """Send the first half of the pieces and reset the connection."""
    pause: float = 0.0
    """Seconds after each piece."""


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(json.dumps(value).encode(), status, headers=named)


def sse(events: list[dict[str, Any]], *, named: bool = True) -> list[bytes]:
    """The events as server-sent events, by their `type` if they are named."""
    return [
        (f"event: {event['type']}\n" if named else "").encode()
        + b"data: "
        + json.dumps(event).encode()
        + b"\n\n"
        for event in events
    ]


class Loopback:
    """Runs in a thread of its own until `close()`; a context manager."""

    def __init__(self) -> None:
        self.requests: list[Asked] = []
        self.bodies: list[bytes] = []
        """The exact bytes of every response, as far as they were sent."""
        self.refusals: dict[str, int] = {}
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.owner = self
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def reply(self, asked: Asked) -> Reply:
        raise NotImplementedError

    def once(self, name: str) -> bool:
        """True the first time for a name: what is refused once and then answered."""
        self.refusals[name] = self.refusals.get(name, 0) + 1
        return self.refusals[name] == 1

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    owner: Loopback
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Say nothing."""

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            raw = self._chunked()
        url = urlsplit(self.path)
        try:
            body = json.loads(raw)
        except ValueError:
            body = {}
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, url.path, parse_qs(url.query), headers, body, raw)
        self.server.owner.requests.append(asked)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._send(self.server.owner.reply(asked))

    def _chunked(self) -> bytes:
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _send(self, reply: Reply) -> None:
        pieces = reply.body if isinstance(reply.body, list) else [reply.body]
        if reply.cut:
            pieces = pieces[: len(pieces) // 2]
        self.server.owner.bodies.append(b"".join(pieces))
        self.send_response(reply.status)
        self.send_header("content-type", reply.content_type)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if isinstance(reply.body, bytes):
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
            return
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if reply.pause:
                time.sleep(reply.pause)
        if reply.cut:
            # Reset the connection, so that the client cannot take it for the end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(b"0\r\n\r\n")
