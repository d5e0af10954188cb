"""Hooks into other libraries: one table of them per room (`wire`, `instrument`), put in and taken out together.

A library that is imported already is wrapped now, one that is not is wrapped when the program imports it;
a program that never does pays a dictionary entry. Nothing here imports a library of the program's.
"""

from __future__ import annotations

import importlib
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from spanreel.guard import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from types import ModuleType

State = Literal["wrapped", "not imported", "not installed", "in use", "out of range", "failed", "unknown"]


class Hook(NamedTuple):
    """One library: its name, our module for it, and the versions (from, below) its hook is made for.

    Our module has `install(module) -> undo`. It is called with each module of `imports` (default: the one
    named `library`) once that is imported, and must not import anything of the library's itself: another
    thread may be importing it, and waiting for us.
    """

    library: str
    module: str
    minimum: tuple[int, ...]
    below: tuple[int, ...]
    imports: tuple[str, ...] = ()
    distribution: str = ""
    """Whose version counts, where the package has no `__version__` of that name."""

    @property
    def triggers(self) -> tuple[str, ...]:
        """The modules that are waited for."""
        return self.imports or (self.library,)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one hook, and why."""

    name: str
    state: State
    reason: str = ""


class Hooks:
    """The hooks of one room in this process: what each came to, and how to take it out."""

    def __init__(self, room: str, table: Sequence[Hook]) -> None:
        self.table = tuple(table)
        self._room = room
        self._lock = threading.RLock()
        self._wanted: set[str] = set()
        self._awaited: set[str] = set()
        self._outcomes: dict[str, Outcome] = {}
        self._undo: dict[str, Callable[[], None]] = {}
        self._under_way: set[str] = set()

    @property
    def libraries(self) -> tuple[str, ...]:
        """The names of the table."""
        return tuple(hook.library for hook in self.table)

    def install(self, libraries: Collection[str] | None = None) -> list[Outcome]:
        """Put in the hooks of `libraries` (all by default) that are not in yet. Idempotent, never raises."""
        with self._lock:
            for hook in self.table:
                if libraries is None or hook.library in libraries:
                    self._wanted.add(hook.library)
                    self._outcomes.setdefault(hook.library, _waiting(hook))
                    for trigger in hook.triggers:
                        self._install(hook, trigger)
            return self.outcomes()

    def uninstall(self, libraries: Collection[str] | None = None) -> None:
        """Take hooks out again (all by default); what is under way is recorded to its end."""
        with self._lock:
            for hook in self.table:
                if libraries is None or hook.library in libraries:
                    self._wanted.discard(hook.library)
                    for trigger in hook.triggers:
                        undo = self._undo.pop(trigger, None)
                        if undo is not None:
                            self._outcomes[hook.library] = Outcome(
                                hook.library, "not imported", "uninstalled"
                            )
                            with guard(f"{self._room}.uninstall.{hook.library}"):
                                undo()

    def outcomes(self) -> list[Outcome]:
        """Return what the hooks have come to so far; empty before the first `install()`."""
        return [self._outcomes[name] for name in self.libraries if name in self._outcomes]

    def _install(self, hook: Hook, trigger: str) -> None:
        if trigger in self._undo:
            return
        module = sys.modules.get(trigger)
        if module is not None:
            self._wrap(hook, trigger, module)
        elif trigger not in self._awaited:
            self._awaited.add(trigger)
            with guard(f"{self._room}.await"):
                import wrapt

                wrapt.register_post_import_hook(lambda module: self._imported(hook, trigger, module), trigger)

    def _imported(self, hook: Hook, trigger: str, module: ModuleType) -> None:
        """Wrap what the program has just imported. An exception here would fail that import."""
        with guard(f"{self._room}.imported"), self._lock:
            self._awaited.discard(trigger)
            if hook.library in self._wanted and trigger not in self._undo:
                self._wrap(hook, trigger, module)

    def _wrap(self, hook: Hook, trigger: str, module: ModuleType) -> None:
        outcome = self.wrap(hook, module, trigger)
        known = self._outcomes.get(hook.library)
        if known is None or known.state != "failed" or trigger == hook.triggers[0]:
            self._outcomes[hook.library] = outcome

    def wrap(self, hook: Hook, module: ModuleType, trigger: str = "") -> Outcome:
        """Wrap one module of a library whose version is in range; tell what came of it."""
        version = version_of(hook, module)
        if not _in_range(version, hook):
            wanted = f">={_dotted(hook.minimum)},<{_dotted(hook.below)}"
            reason = f"{hook.library} {version or 'of unknown version'} is not {wanted}"
            return Outcome(hook.library, "out of range", reason)
        name = trigger or hook.library
        if name in self._under_way:  # what it records first puts in all hooks, this one among them
            return self._outcomes.get(hook.library, _waiting(hook))
        self._under_way.add(name)
        try:
            self._undo[name] = importlib.import_module(hook.module).install(module)
        except Exception as error:
            guard.caught(f"{self._room}.install.{hook.library}", error)
            return Outcome(hook.library, "failed", f"{type(error).__name__}: {error}")
        finally:
            self._under_way.discard(name)
        return Outcome(hook.library, "wrapped", version)


def unknown(name: str, rooms: Iterable[Hooks]) -> Outcome:
    """The outcome of a name that no table has, with the nearest that is known."""
    import difflib

    known = sorted({library for room in rooms for library in room.libraries})
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return Outcome(name, "unknown", f"{hint}known: {', '.join(known)}")


def version_of(hook: Hook, module: ModuleType) -> str:
    """The library's version: `__version__` of the module or its package, else the distribution's."""
    if not hook.distribution:
        package = sys.modules.get(hook.library.partition(".")[0])
        for candidate in (module, package):
            version: Any = getattr(candidate, "__version__", None)
            if isinstance(version, str):
                return version
    from importlib import metadata

    try:
        return metadata.version(hook.distribution or hook.library)
    except metadata.PackageNotFoundError:
        return ""


def _waiting(hook: Hook) -> Outcome:
    return Outcome(hook.library, "not imported", "wrapped as soon as the program imports it")


def _in_range(version: str, hook: Hook) -> bool:
    numbers: list[int] = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return bool(numbers) and hook.minimum <= tuple(numbers) < hook.below


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
