"""Libraries that carry requests past the wire's hooks: named where the program has imported them, once a process.

That one is imported does not say that a model is called through it; but where calls are missing, it says why.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIBRARIES: tuple[str, ...] = (
    "grpc",
    "grpclib",
    "websockets.client",
    "websocket",
    "curl_cffi",
    "pycurl",
    "tornado.httpclient",
    "httplib2",
    "niquests",
    "geventhttpclient",
    "primp",
    "rnet",
    "pyreqwest",
    "treq",
    "aiosonic",
)
"""Import names. The standard library's `http.client` is not among them: every program has it. Of websockets only
the client counts, which uvicorn, a server, does not import."""

_told: set[tuple[str, str]] = set()
"""(procid of a journal, what was written into it)."""


def found(modules: Mapping[str, object]) -> list[str]:
    """Return what is imported and not seen: libraries without a hook, and those whose hook could not be put in."""
    from spanreel import wire

    unhooked = [name for name in LIBRARIES if name in modules]
    broken = [
        f"{outcome.name} ({outcome.reason})"
        for outcome in wire.outcomes()
        if outcome.state in {"out of range", "failed"}
    ]
    return unhooked + broken


def note(procid: str, loss: Callable[[str], None]) -> None:
    """Write down what this process has imported since it was last asked; a few dictionary look-ups."""
    for name in found(sys.modules):
        if (procid, name) not in _told:
            _told.add((procid, name))
            loss(f"unseen_library:{name}")
