"""Real web servers on the loopback, each in a thread of its own: uvicorn for ASGI, waitress and wsgiref for WSGI."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


@contextmanager
def uvicorn_serving(app: Any, **options: Any) -> Iterator[str]:
    """The base URL of `app` under uvicorn; stopped, all requests done, when the block is left."""
    import uvicorn

    class Server(uvicorn.Server):
        def install_signal_handlers(self) -> None: ...

    server = Server(uvicorn.Config(app, port=0, log_level="critical", **{"lifespan": "off", **options}))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            threading.Event().wait(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


class _Threading(ThreadingMixIn, WSGIServer):
    daemon_threads = False


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Say nothing."""

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def wsgiref_serving(app: Any) -> Iterator[str]:
    """The base URL of `app` under the standard library's server, a thread for each request."""
    server = make_server("127.0.0.1", 0, app, server_class=_Threading, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def waitress_serving(app: Any) -> Iterator[str]:
    """The base URL of `app` under waitress."""
    from waitress.server import create_server

    server: Any = create_server(app, host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.trigger.pull_trigger(lambda: server.close())
        thread.join(10)
        server.task_dispatcher.shutdown()
