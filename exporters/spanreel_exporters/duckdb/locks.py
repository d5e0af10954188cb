"""Who may touch the database file: flock election, the writer-waiting gate, and who of the writers lives.

`ingest.lock` is held exclusively by the one ingester and shared by readers. flock is unfair: with eight
readers of 300 ms an ingester never gets in. So an ingester that waits holds `gate.lock` exclusively, and a
reader passes the gate (shared) on its way to the main lock: the ingester waits for one hold at most.
flock belongs to an open file, so threads of one process exclude each other as well, and a stray open and
close elsewhere does not drop it (as it would DuckDB's own fcntl lock).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from spanreel import keeper_rules
from spanreel.errors import StoreError

MAIN: Final = "ingest.lock"
GATE: Final = "gate.lock"
_POLL_S: Final = 0.002
_NETWORK: Final = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs",
    "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.grpcfuse", "fakeowner", "afpfs", "webdav",
})  # fmt: skip
"""File system types on which flock or mmap between processes cannot be trusted (Docker Desktop's included)."""


class StoreBusyError(StoreError):
    """The store's lock could not be had in time."""


@contextmanager
def exclusive(store: Path, *, timeout_s: float = 0.0) -> Iterator[bool]:
    """Hold the store as its ingester; yields False when it cannot be had within `timeout_s` (0: one try).

    Raises StoreError where the lock files cannot be made, or on a network file system.
    """
    _refuse_network(store)
    main = _open(store / MAIN)
    try:
        if _try(main, fcntl.LOCK_EX):
            yield True
            return
        if timeout_s <= 0:
            yield False
            return
        with _gate_closed(store, timeout_s) as deadline:
            got = deadline > 0 and _wait(main, fcntl.LOCK_EX, deadline)
        yield got
    finally:
        os.close(main)


@contextmanager
def _gate_closed(store: Path, timeout_s: float) -> Iterator[float]:
    """Keep new readers out; yields the deadline (monotonic seconds), or 0 when others hold the gate all along."""
    deadline = time.monotonic() + timeout_s
    gate = _open(store / GATE)
    try:
        yield deadline if _wait(gate, fcntl.LOCK_EX, deadline) else 0.0
    finally:
        os.close(gate)


@contextmanager
def shared(store: Path, *, timeout_s: float = 10.0) -> Iterator[None]:
    """Hold the store as a reader: no ingest runs meanwhile. Keep it short.

    In a store that cannot be written to and has no lock files there is nobody to exclude, and nothing is
    held. Raises StoreBusyError after `timeout_s`.
    """
    _refuse_network(store)
    try:
        main = _open(store / MAIN)
    except StoreError:
        if (store / MAIN).exists():
            raise
        yield
        return
    gate = -1
    try:
        with suppress(StoreError):  # read-only before an ingester ever had to wait: there is no gate to pass
            gate = _open(store / GATE)
        deadline = time.monotonic() + timeout_s
        got = (gate < 0 or _wait(gate, fcntl.LOCK_SH, deadline)) and _wait(main, fcntl.LOCK_SH, deadline)
        if gate >= 0:
            os.close(gate)
            gate = -1
        if not got:
            raise StoreBusyError(
                f"the store {store} is busy: its lock could not be had within {timeout_s:g} s"
            )
        yield
    finally:
        if gate >= 0:
            os.close(gate)
        os.close(main)


def owner_alive(owner: Path) -> bool:
    """Whether the process of an `.owner` file still lives: it holds the file's lock as long as it does."""
    try:
        handle = os.open(owner, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return not _try(handle, fcntl.LOCK_SH)
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        with suppress(OSError):
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        raise StoreError(f"the lock {path} cannot be opened: {error.strerror or error}") from error


def _try(handle: int, mode: int) -> bool:
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _wait(handle: int, mode: int, deadline: float) -> bool:
    """Poll until the lock is had or the deadline passes (flock itself has no time limit)."""
    while not _try(handle, mode):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _refuse_network(store: Path) -> None:
    kind = filesystem(str(store))
    if kind in _NETWORK:
        raise StoreError(
            f"the store {store} is on a network or shared file system ({kind}), where locks cannot be trusted; "
            "choose a local directory with SPANREEL_STORE, or send spans to a collector"
        )


@lru_cache(maxsize=64)
def filesystem(path: str) -> str:
    """The type of the file system that holds `path`; "" where it cannot be told."""
    return keeper_rules.filesystem(Path(path)) or ""
