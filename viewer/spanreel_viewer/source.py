"""The store that this viewer looks at. One per process, as Streamlit's scripts and our routes share it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from spanreel_exporters.duckdb.reader import Reader


class Pulse(Protocol):
    """Says whether a store changed."""

    def token(self) -> str:
        """Return a text that differs from the one before when something was recorded, taken in or erased."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """How to read a store, and how it is called on the page. A reader is opened for each request."""

    open: Callable[[], AbstractContextManager[Reader]]
    pulse: Pulse
    name: str
    """The project's name, or the last folder of the path."""
    path: str
    exists: Callable[[], bool] = lambda: True
    """False before the first recording: then there is nothing to open, and nothing is wrong."""


class NoSourceError(RuntimeError):
    """A page ran before a store was chosen: the viewer was not started through `launch`."""


@dataclass(slots=True)
class StorePulse:
    """The pulse of a store directory: a few stat calls and one-byte reads, no database opened."""

    store: Path
    _seen: tuple[object, ...] = ()
    _beats: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _watch: object = None

    def token(self) -> str:
        """Return the present beat; a new one when the file or the journal moved."""
        from spanreel_exporters.duckdb.watch import JournalWatch

        with self._lock:
            watch = self._watch
            if not isinstance(watch, JournalWatch):
                watch = self._watch = JournalWatch(self.store)
                watch.note()
            files = _stamps(self.store)
            if files != self._seen or watch.changed():
                watch.note()
                self._seen = files
                self._beats += 1
            return f"{os.getpid()}-{self._beats}"


def _stamps(store: Path) -> tuple[object, ...]:
    from spanreel.store import DATABASE

    stamps: list[object] = []
    for name in (DATABASE, f"{DATABASE}.wal"):
        try:
            found = (store / name).stat()
        except OSError:
            stamps.append(None)
        else:
            stamps.append((found.st_mtime_ns, found.st_size, found.st_ino))
    return tuple(stamps)


def of_store(path: Path) -> Source:
    """Return the source for a store directory, which need not exist yet; one that does is registered as in use."""
    from spanreel.store import DIRECTORY
    from spanreel_exporters.duckdb.reader import DuckReader
    from spanreel_exporters.duckdb.stores import register

    if path.is_dir():
        register(path)
    name = path.parent.name if path.name == DIRECTORY else path.name
    return Source(lambda: DuckReader(path), StorePulse(path), name or str(path), str(path), path.is_dir)


_current: Source | None = None


def use(source: Source | None) -> None:
    """Make `source` the store of this process; None for none."""
    global _current  # noqa: PLW0603  the one place where Streamlit's threads find the store
    _current = source


def current() -> Source:
    """Return the store of this process. Raises NoSourceError where none was chosen."""
    if _current is None:
        raise NoSourceError("No store is open. Start the viewer with `spanreel view`.")
    return _current
