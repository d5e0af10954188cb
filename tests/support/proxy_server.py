"""A loopback HTTP proxy: forwards requests with a whole URL, and tunnels CONNECT."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class ProxyServer:
    """Runs in a thread of its own until `close()`; `asked` holds the targets in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.owner = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Say nothing."""

    def do_POST(self) -> None:
        self.server.owner.asked.append(self.path)
        target = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        onward = HTTPConnection(target.hostname or "", target.port or 80)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "proxy-connection"}
        onward.request("POST", f"{target.path}?{target.query}", body, headers)
        answer = onward.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "content-length", "connection"}:
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        onward.close()

    def do_CONNECT(self) -> None:
        self.server.owner.asked.append(self.path)
        host, _, port = self.path.rpartition(":")
        self.close_connection = True
        with contextlib.suppress(OSError), socket.create_connection((host, int(port))) as onward:
            self.send_response(200, "Connection established")
            self.end_headers()
            self._pump(onward)

    def _pump(self, onward: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ, onward)
            selector.register(onward, selectors.EVENT_READ, self.connection)
            while True:
                for key, _ in selector.select():
                    source: Any = key.fileobj
                    data = source.recv(65_536)
                    if not data:
                        return
                    key.data.sendall(data)
