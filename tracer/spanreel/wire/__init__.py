"""Where calls are seen: one hook per HTTP client library, put in at the first traced entry.

A library that is imported already is wrapped now, one that is not is wrapped when the program imports it;
a program that never does pays nothing. A new library is one file with `install(module)` and one line in `HOOKS`.
"""

from __future__ import annotations

import importlib
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from spanreel.guard import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import ModuleType

State = Literal["wrapped", "not imported", "out of range", "failed"]


class Hook(NamedTuple):
    """One library: its import name, our module for it, and the versions (from, below) its hook is made for."""

    library: str
    module: str
    minimum: tuple[int, ...]
    below: tuple[int, ...]


HOOKS: tuple[Hook, ...] = (
    Hook("httpx", "spanreel.wire.httpx", (0, 24), (1,)),
    Hook("httpx2", "spanreel.wire.httpx", (2,), (3,)),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one hook, and why."""

    name: str
    state: State
    reason: str = ""


class _Installed:
    """The hooks of this process: what each came to, how to take it out, and whether they are wanted."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.wanted = False
        self.awaited: set[str] = set()
        self.outcomes: dict[str, Outcome] = {}
        self.undo: dict[str, Callable[[], None]] = {}


_installed = _Installed()


LIBRARIES = tuple(hook.library for hook in HOOKS)


def install(libraries: Collection[str] = LIBRARIES) -> list[Outcome]:
    """Put in the hooks of `libraries` that are not in yet. Idempotent, never raises; tells what became of each."""
    with _installed.lock:
        _installed.wanted = True
        for hook in HOOKS:
            if hook.library in libraries and hook.library not in _installed.undo:
                _installed.outcomes[hook.library] = _install(hook)
        return [_installed.outcomes[hook.library] for hook in HOOKS]


def uninstall() -> None:
    """Take every hook out again; streams that are under way are recorded to their end."""
    with _installed.lock:
        _installed.wanted = False
        while _installed.undo:
            library, undo = _installed.undo.popitem()
            _installed.outcomes[library] = Outcome(library, "not imported", "uninstalled")
            with guard(f"wire.uninstall.{library}"):
                undo()


def outcomes() -> list[Outcome]:
    """Return what the hooks have come to so far; empty before the first `install()`."""
    return [_installed.outcomes[hook.library] for hook in HOOKS if hook.library in _installed.outcomes]


def _install(hook: Hook) -> Outcome:
    module = sys.modules.get(hook.library)
    if module is not None:
        return _wrap(hook, module)
    if hook.library not in _installed.awaited:
        _installed.awaited.add(hook.library)
        with guard("wire.await"):
            import wrapt

            wrapt.register_post_import_hook(lambda module: _imported(hook, module), hook.library)
    return Outcome(hook.library, "not imported", "wrapped as soon as the program imports it")


def _imported(hook: Hook, module: ModuleType) -> None:
    """Wrap a library that the program has just imported. An exception here would fail that import."""
    with guard("wire.imported"), _installed.lock:
        _installed.awaited.discard(hook.library)
        if _installed.wanted and hook.library not in _installed.undo:
            _installed.outcomes[hook.library] = _wrap(hook, module)


def _wrap(hook: Hook, module: ModuleType) -> Outcome:
    version = str(getattr(module, "__version__", ""))
    if not _in_range(version, hook):
        wanted = f">={_dotted(hook.minimum)},<{_dotted(hook.below)}"
        return Outcome(
            hook.library, "out of range", f"{hook.library} {version or 'of unknown version'} is not {wanted}"
        )
    try:
        _installed.undo[hook.library] = importlib.import_module(hook.module).install(module)
    except Exception as error:
        guard.caught(f"wire.install.{hook.library}", error)
        return Outcome(hook.library, "failed", f"{type(error).__name__}: {error}")
    return Outcome(hook.library, "wrapped", version)


def _in_range(version: str, hook: Hook) -> bool:
    numbers: list[int] = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return bool(numbers) and hook.minimum <= tuple(numbers) < hook.below


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
