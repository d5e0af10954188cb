"""Where calls are seen: one hook per HTTP client library, put in at the first traced entry.

A new library is one file with `install(module)` and one line in `HOOKS`; `hooks.py` says when they are put in.
"""

from __future__ import annotations

from spanreel.hooks import Hook, Hooks, Outcome

__all__ = ["HOOKS", "LIBRARIES", "Hook", "Outcome", "hooks", "install", "outcomes", "uninstall"]

HOOKS: tuple[Hook, ...] = (
    Hook("httpx", "spanreel.wire.httpx", (0, 24), (1,)),
    Hook("httpx2", "spanreel.wire.httpx", (2,), (3,)),
    Hook("urllib3", "spanreel.wire.urllib3", (2,), (3,)),
    Hook("aiohttp", "spanreel.wire.aiohttp", (3, 9), (4,)),
    Hook("botocore", "spanreel.wire.botocore", (1, 31), (2,), imports=("botocore.httpsession",)),
)

hooks = Hooks("wire", HOOKS)
LIBRARIES = hooks.libraries
install = hooks.install
uninstall = hooks.uninstall
outcomes = hooks.outcomes
