"""The register of stores on this machine: which directories hold recordings, kept in the user's state directory.

Written by the keeper, the viewer and the commands, never by the recorded program. A register that cannot be
read or written costs a listing, nothing else.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanreel.store import DATABASE, JOURNAL

LIMIT = 200
"""Entries kept; the longest unseen go first."""
REFRESH_NS = 3600 * 10**9
"""A store seen more recently than this is not written again."""


@dataclass(frozen=True, slots=True)
class StoreEntry:
    """One registered store: its path, when it was last worked on (ns since epoch), and its size in bytes."""

    path: Path
    last_seen_ns: int
    exists: bool
    database_bytes: int
    journal_bytes: int


def register_path() -> Path:
    """Return the register: `$XDG_STATE_HOME/spanreel/stores.json`, by default under ~/.local/state."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111 - Path.home() raises
    return Path(base) / "spanreel" / "stores.json"


def register(store: Path) -> bool:
    """Note that `store` exists and is in use; return whether it stands in the register. Never raises."""
    try:
        return _register(os.path.realpath(store))
    except (OSError, ValueError):
        return False


def _register(store: str) -> bool:
    path = register_path()
    now = time.time_ns()
    seen = _read(path).get(store)
    if seen is not None and abs(now - seen) < REFRESH_NS:
        return True
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries = {known: at for known, at in _read(path).items() if Path(known).is_dir()}
        entries[store] = now
        _write(path, dict(sorted(entries.items(), key=lambda item: -item[1])[:LIMIT]))
    finally:
        os.close(lock)
    return True


def forget_missing() -> int:
    """Take stores that no longer exist out of the register; return how many."""
    path = register_path()
    entries = _read(path)
    kept = {store: seen for store, seen in entries.items() if Path(store).is_dir()}
    if len(kept) != len(entries):
        _write(path, kept)
    return len(entries) - len(kept)


def known() -> list[StoreEntry]:
    """Return the registered stores, the last used first; missing ones are marked, not dropped."""
    entries = sorted(_read(register_path()).items(), key=lambda item: -item[1])
    return [_entry(Path(store), seen) for store, seen in entries]


def _entry(store: Path, seen: int) -> StoreEntry:
    return StoreEntry(
        path=store,
        last_seen_ns=seen,
        exists=store.is_dir(),
        database_bytes=database_bytes(store),
        journal_bytes=journal_bytes(store),
    )


def file_bytes(path: Path) -> int:
    """Return the size of a file in bytes; 0 when it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def database_bytes(store: Path) -> int:
    """Return the bytes of the database file and its write-ahead log."""
    return file_bytes(store / DATABASE) + file_bytes(store / f"{DATABASE}.wal")


def journal_bytes(store: Path) -> int:
    """Return the bytes that journal segments take on the disk (their preallocated room included)."""
    try:
        return sum(file_bytes(Path(entry.path)) for entry in os.scandir(store / JOURNAL))
    except OSError:
        return 0


def _read(path: Path) -> dict[str, int]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        return {str(store): int(seen) for store, seen in content["stores"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(path: Path, entries: dict[str, int]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"version": 1, "stores": entries}, file, indent=1)
    temporary.replace(path)
