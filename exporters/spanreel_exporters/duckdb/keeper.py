"""The keeper: one small process per store that moves the journal into DuckDB while programs record.

Started on demand by the recorder (`spanreel.keeper_start`), which hands it the store's locked keeper.lock.
It opens the database only for the length of an ingest, and goes away by itself: when the store is gone, when
a newer spanreel wrote the store, or some ten seconds after the last writer has left and everything is in.
Without it nothing is lost: readers catch up.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spanreel import keeper_start
from spanreel.errors import NewerStoreError, SpanreelError, StoreError
from spanreel.store import DATABASE, JOURNAL
from spanreel.version import __version__
from spanreel_exporters.duckdb.watch import JournalWatch

RSS_CAP: Final = 128 << 20
"""Bytes of memory of its own (mapped files not counted); above it an idle keeper replaces itself by a fresh one."""
STEP_BYTES: Final = 4 << 20
"""Journal bytes of one ingest: it then has some 110 MB of its own at work, 90 at rest."""
QUIET_S: Final = 5.0
"""How long nothing came before the database is packed."""
PACKING_S: Final = 120.0
AT_WORK: Final = 2
"""Times RSS_CAP that a keeper with a backlog may use: some 110 MB are usual."""
BUSY_S: Final = 1.0
IDLE_S: Final = 1.0
LINGER_S: Final = 10.0
"""How long an idle keeper stays after the last writer has left."""
PATIENCE_S: Final = 600.0
"""How long a keeper without writers retries what cannot be ingested (a foreign client holds the file)."""
RETREAT_S: Final = 5.0
UPKEEP_S: Final = 60.0
JITTER_S: Final = 0.2
RESTARTS: Final = 3
LOG_NAME: Final = "keeper.log"
LOG_BYTES: Final = 64 << 10


class KeeperLog:
    """A log of a few lines for `spanreel doctor`: 0600, cut to its newer half at 64 KiB, never raises."""

    def __init__(self, store: Path) -> None:
        self._path = store / LOG_NAME
        self._last = ""

    def write(self, text: str) -> None:
        """Add one dated line; a message repeated at once is written only the first time."""
        if text == self._last:
            return
        self._last = text
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with suppress(OSError):
            self._shrink()
            descriptor = os.open(
                self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            try:
                os.write(descriptor, f"{stamp} {os.getpid()} {' '.join(text.split())[:500]}\n".encode())
            finally:
                os.close(descriptor)

    def _shrink(self) -> None:
        if self._path.exists() and self._path.stat().st_size > LOG_BYTES:
            kept = self._path.read_bytes()[-LOG_BYTES // 2 :]
            self._path.write_bytes(kept.partition(b"\n")[2])


@dataclass(frozen=True, slots=True)
class Step:
    """What one ingest did: whether it moved anything, and whether more waits right behind."""

    moved: bool
    more: bool


class Keeper:
    """The loop, over an `ingest` and an `upkeep` of the store; `run` returns why it ended."""

    def __init__(
        self,
        store: Path,
        *,
        ingest: Callable[[Path], Step],
        upkeep: Callable[[Path], str] = lambda _store: "",
        pack: Callable[[Path], str] = lambda _store: "",
        log: Callable[[str], None] = lambda _text: None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        rss_cap: int = RSS_CAP,
    ) -> None:
        self._store = store
        self._ingest = ingest
        self._upkeep = upkeep
        self._pack = pack
        self._log = log
        self._sleep = sleep
        self._monotonic = monotonic
        self._rss_cap = rss_cap
        self._watch = JournalWatch(store)
        self._identity = _identity(store)
        self._stopping = False
        self._resting = False
        self._loose_since: float | None = monotonic()
        """When rows came last; None once the database was packed after that."""
        self._pause = BUSY_S

    def stop(self) -> None:
        """Ask the loop to end after the step it is in."""
        self._stopping = True

    def run(self) -> str:
        """Loop until there is a reason to end; returns it: stopped, gone, newer, idle, memory, stuck."""
        active = self._monotonic()
        upkeep_at = active + UPKEEP_S / 10
        unsettled = True
        while True:
            reason = self._reason_to_end()
            if reason:
                return reason
            self._resting = not (unsettled or self._watch.changed())
            if not self._resting:
                try:
                    unsettled = self._advance()
                except NewerStoreError as error:
                    self._log(f"stepping down: {error}")
                    return "newer"
                if not unsettled:
                    active = self._monotonic()
            else:
                self._pause = min(max(self._pause, BUSY_S) * 1.5, IDLE_S)
            now = self._monotonic()
            if self._watch.writers():
                active = now
            if now >= upkeep_at:
                upkeep_at = now + UPKEEP_S
                self._look_after(self._upkeep)
            if self._resting and self._loose_since is not None and now - self._loose_since > QUIET_S:
                self._loose_since = None
                self._look_after(self._pack)
            if now - active > (PATIENCE_S if unsettled else LINGER_S):
                return "stuck" if unsettled else "idle"
            self._sleep(self._pause)

    def _reason_to_end(self) -> str:
        if self._stopping:
            return "stopped"
        if _identity(self._store) != self._identity or not (self._store / JOURNAL).is_dir():
            return "gone"
        cap = self._rss_cap if self._resting else AT_WORK * self._rss_cap
        return "memory" if resident_bytes() > cap else ""

    def _advance(self) -> bool:
        """Ingest once and set the next pause; return whether something is still to be done."""
        self._watch.note()
        try:
            step = self._ingest(self._store)
        except NewerStoreError:
            raise
        except Exception as error:
            self._log(f"{type(error).__name__}: {error}")
            self._pause = min(max(self._pause * 2, BUSY_S), RETREAT_S)
            return True
        if step.moved:
            self._loose_since = self._monotonic()
        self._pause = 0.0 if step.more else BUSY_S if step.moved else min(self._pause * 1.5 or BUSY_S, IDLE_S)
        return step.more

    def _look_after(self, task: Callable[[Path], str]) -> None:
        try:
            done = task(self._store)
            if done:
                self._log(done)
        except Exception as error:
            self._log(f"upkeep: {type(error).__name__}: {error}")


def _identity(store: Path) -> tuple[int, int] | None:
    """Return device and inode of the store: a store deleted and made anew is another one."""
    try:
        info = store.stat()
    except OSError:
        return None
    return info.st_dev, info.st_ino


def resident_bytes() -> int:
    """Return the bytes of resident memory that are this process's own (0 where /proc is not there).

    Pages of files are left out: DuckDB's library alone has 50 MB of them, shared with every other process.
    """
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - read every round
            _size, resident, shared, *_rest = map(int, file.read().split())
            return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _detach(kept: int | None) -> None:
    """Let go of everything inherited: descriptors, session, directory, terminal."""
    limit = os.sysconf("SC_OPEN_MAX")
    high = min(limit if limit > 0 else 1 << 16, 1 << 20)
    os.closerange(3, kept if kept is not None else high)
    if kept is not None:
        os.closerange(kept + 1, high)
    with suppress(OSError):
        os.setsid()
    os.chdir("/")
    os.umask(0o077)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    if null > 2:
        os.close(null)


def _adopt(store: Path, inherited: int | None) -> int | None:
    """Return the locked keeper.lock: the inherited one if it is the store's, else one taken now; None if held."""
    import fcntl

    if inherited is not None:
        try:
            mine, there = os.fstat(inherited), (store / keeper_start.LOCK_NAME).stat()
            if (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino):
                fcntl.flock(inherited, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.set_inheritable(inherited, False)
                return inherited
        except OSError:
            return None
        return None
    for _attempt in range(3):  # `is_running` holds the lock shared for a moment
        lock = keeper_start.take_lock(store)
        if lock is not None:
            return lock
        time.sleep(0.02)
    return None


def _sign(lock: int) -> None:
    """Write who the keeper is into its lock file, for `spanreel doctor`."""
    text = json.dumps({"pid": os.getpid(), "started_ns": time.time_ns(), "version": __version__})
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, text.encode(), 0)


def _again(store: Path, lock: int, restarts: int) -> None:
    """Replace this process by a fresh keeper that inherits the lock: memory that malloc kept goes back."""
    command = keeper_start.keeper_command(store)
    os.dup2(lock, keeper_start.LOCK_FD) if lock != keeper_start.LOCK_FD else os.set_inheritable(lock, True)
    environment = keeper_start.keeper_environment(os.environ)
    os.execve(command[0], [*command, "--restarts", str(restarts)], environment)  # noqa: S606


def ingest_step(store: Path) -> Step:
    """Ingest once, waiting behind the gate for readers. Raises StoreError, also for a foreign client."""
    from spanreel_exporters.duckdb import ingest

    report = ingest.ingest_once(store, budget_bytes=STEP_BYTES, blocking=True)
    if report.trouble:
        raise StoreError(report.trouble)
    return Step(moved=report.bytes_read > 0, more=not report.caught_up)


def upkeep(store: Path) -> str:
    """Keep the store within its limits, finish an erasure that was cut off, and stay on the register.

    Returns what was done in words for the log; nothing when there was nothing to do.
    """
    from spanreel_exporters.duckdb import compaction, retention, stores

    stores.register(store)
    compaction.sweep(store)
    if (store / compaction.PENDING).exists():
        compaction.compact(store)
    pruned = retention.enforce(store)
    if pruned is None:
        return ""
    return f"pruned to {pruned.bytes_after:,} bytes: {pruned.traces:,} traces, bodies of {pruned.bodies:,} spans. {pruned.note}"


def settle(store: Path) -> None:
    """Fold the write-ahead log into the database, so that the one file holds everything."""
    from spanreel_exporters.duckdb import connection, locks

    if not (store / f"{DATABASE}.wal").exists():
        return
    with locks.exclusive(store, timeout_s=2.0) as held:
        if held:
            with connection.writer(store) as con:
                con.execute("CHECKPOINT store")


def pack(store: Path) -> str:
    """Fold the write-ahead log in, and pack the database where that pays, in a process of its own.

    Returns what was done in words for the log. Raises StoreError.
    """
    settle(store)
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-P", "-m", "spanreel_exporters.duckdb.tidy", str(store)],
        env={**os.environ, "PYTHONPATH": paths}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", timeout=PACKING_S, check=False,
    )  # fmt: skip
    if done.returncode:
        raise StoreError(done.stdout.strip()[-300:] or f"packing ended with exit code {done.returncode}")
    return done.stdout.strip()


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="spanreel-keeper", description=__doc__)
    parser.add_argument("--store", required=True, type=Path)
    parser.add_argument("--lock-fd", type=int, default=None)
    parser.add_argument("--restarts", type=int, default=0)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Keep a store until there is no more need; returns 0 also when another keeper is at it already."""
    arguments = _parse(argv)
    store = Path(os.path.abspath(arguments.store))  # noqa: PTH100 - must not follow links
    if arguments.lock_fd is None and not (store / JOURNAL).is_dir():
        raise SpanreelError(f"no store at {store}")
    _detach(arguments.lock_fd)
    if arguments.lock_fd is None:
        time.sleep(random.uniform(0, JITTER_S))
    lock = _adopt(store, arguments.lock_fd)
    if lock is None:
        return 0
    _sign(lock)
    log = KeeperLog(store)
    started = time.monotonic()
    keeper = Keeper(store, ingest=ingest_step, upkeep=upkeep, pack=pack, log=log.write, rss_cap=RSS_CAP)
    signal.signal(signal.SIGTERM, lambda _number, _frame: keeper.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        reason = keeper.run()
        if reason in ("idle", "stopped"):
            settle(store)
    except Exception as error:
        log.write(f"ended by {type(error).__name__}: {error}")
        return 1
    if reason == "memory":
        restarts = arguments.restarts + 1 if time.monotonic() - started < 30 else 0
        if restarts <= RESTARTS:
            _again(store, lock, restarts)
        log.write(
            f"ended: more than {AT_WORK * RSS_CAP >> 20} MiB of memory in use after {restarts - 1} fresh starts"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
