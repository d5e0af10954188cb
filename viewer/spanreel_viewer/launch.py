"""Starting the viewer: an own uvicorn server around `st.App`, on a loopback address.

Streamlit's own runner answers every keep-alive request 44 ms late (its socket has no TCP_NODELAY); ours
takes 2 to 3 ms, and it lets us put a gate before Streamlit and routes beside it.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from spanreel_viewer import shell, source, theme
from spanreel_viewer.guards import LOOPBACK, Gate, Rules, policy

if TYPE_CHECKING:
    from starlette.types import ASGIApp

DEFAULT_PORT: Final = 8501


class LaunchError(RuntimeError):
    """The viewer cannot be started as asked; the text says why in one line."""


def launch(
    store: str | Path | source.Source,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    open_browser: bool = True,
    token: str | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve the viewer for `store` until interrupted.

    `store` is a store directory (or a source of another kind). `port` 0 takes a free one, and the default port moves on if
    it is taken. A host that others can reach is refused without `token`. `announce` gets the URL once the server
    answers (default: print it). Raises LaunchError.
    """
    if host not in LOOPBACK and not token:
        raise LaunchError(
            f"{host} can be reached by others: give a token (spanreel view --host {host} --token SECRET)."
        )
    listener = listen(host, port)
    address = url(host, listener.getsockname()[1], token)
    place = (
        store if isinstance(store, source.Source) else source.of_store(Path(store).expanduser().absolute())
    )
    try:
        source.use(place)
        serve(
            application(host, listener.getsockname()[1], token),
            listener,
            lambda: _ready(address, open_browser, announce),
        )
    finally:
        source.use(None)
        listener.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; a taken default port gives way to a free one. Raises LaunchError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named so that asyncio sets TCP_NODELAY: without it each kept-alive answer is 40 ms late.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        try:
            listener.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port != DEFAULT_PORT:
                raise
            listener.bind((host, 0))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise LaunchError(f"Cannot listen on {host}:{port}: {error.strerror or error}.") from error
    return listener


def url(host: str, port: int, token: str | None) -> str:
    """Return the address to open."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={quote(token, safe='')}" if token else "")


def application(host: str, port: int, token: str | None) -> ASGIApp:
    """Build the ASGI application: gate, own routes, Streamlit. One in a process, as Streamlit's runtime is one."""
    _configure(host, port)
    import streamlit as st
    from starlette.middleware import Middleware

    from spanreel_viewer.api import routes

    names = LOOPBACK | {host.lower()}
    if host in {"0.0.0.0", "::"}:  # noqa: S104  the person asked for it, with a token
        names |= {socket.gethostname().lower(), *_addresses()}
    rules = Rules(
        hosts=frozenset(names),
        csp=policy(inline_scripts=shell.inline_script_hashes(), port=port, hosts=names),
        token=token,
    )
    return st.App(
        Path(__file__).with_name("app.py"),
        routes=routes(),
        middleware=[Middleware(Gate, rules)],
        on_script_error=_script_failed,
    )


def _addresses() -> set[str]:
    """The addresses of this machine, which a request may name when every interface is served."""
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)}
    except OSError:
        return set()


def _configure(host: str, port: int) -> None:
    from streamlit import config

    options: dict[str, Any] = {
        "browser.gatherUsageStats": False,
        "server.headless": True,
        "server.address": host,
        "server.port": port,
        "server.fileWatcherType": "none",
        "server.enableAgentApi": False,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "global.developmentMode": False,
        "logger.hideWelcomeMessage": True,
        **theme.streamlit_options(),
    }
    for name, value in options.items():
        config.set_option(name, value)


def _script_failed(error: Exception) -> bool:
    """Say what failed instead of Streamlit's traceback box."""
    import streamlit as st

    st.html('<div class="sr sr-script-error"></div>')
    st.error(f"{type(error).__name__}: {error}".replace("[", "\\[").replace("!", "\\!"))
    return True


def serve(app: ASGIApp, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Answer requests until SIGINT or SIGTERM; `ready` is called once answers are given."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

    settings = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        ws_ping_interval=30,
    )
    server = Server(settings)
    previous = signal.getsignal(signal.SIGINT)
    try:
        asyncio.run(server.serve([listener]))
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGINT, previous)


def _ready(address: str, open_browser: bool, announce: Callable[[str], None] | None) -> None:
    if announce is None:
        sys.stdout.write(f"spanreel viewer: {address}\n")
        sys.stdout.flush()
    else:
        announce(address)
    if open_browser:
        webbrowser.open(address)
