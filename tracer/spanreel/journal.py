"""The crash-proof segment writer: what is appended here survives any death of the process.

Not promised: power loss, or the loss of the disk. `append` never raises and never waits for the disk; what
cannot be written (disk full, store gone, no permission) waits in a bounded queue and is retried, and what
does not fit there is counted as lost.
"""

from __future__ import annotations

import _thread
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson

from spanreel import clock
from spanreel import store as stores
from spanreel.errors import StoreError
from spanreel.guard import guard
from spanreel.segment import HEADER_BYTES, Descriptor, Segment

FIRST_SEGMENT: Final = 256 << 10
STEP: Final = 4 << 20
"""Bytes. The first segment is small, since most processes write little; it grows by this much at a time: often
enough to be cheap (1 ms), rarely enough not to show in the 99th percentile of calls that write 14 kB."""
LARGEST: Final = 16 << 20
"""Bytes up to which a segment grows in place before the next file is begun."""
QUEUE_BYTES: Final = 8 << 20
"""Records held in memory while nothing can be written."""
RETRY_NS: Final = 250_000_000
ATTEND_S: Final = 0.5
FORK_PATIENCE_S: Final = 0.2
"""How long a fork waits for a round of upkeep to end (it takes some milliseconds, but a disk may hang)."""


def _refuse(_record: bytes) -> int:
    raise ValueError("no open segment")


class Journal:
    """Appends records of one process to its segments; made again in every forked child."""

    def __init__(
        self,
        store: Path,
        process: dict[str, Any],
        *,
        first_segment: int = FIRST_SEGMENT,
        step: int = STEP,
        largest: int = LARGEST,
        on_loss: Callable[[str, int], None] = lambda _reason, _count: None,
        attend: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self.procid: str = process["procid"]
        self.trouble: str | None = None
        self._process = b"process\t1\t" + orjson.dumps(process) + b"\n"
        self._first_size = self._next_size = first_segment
        self._step = step
        self._largest = largest
        self._on_loss = on_loss
        self._attend_hook = attend
        self._write: Callable[[bytes], int] = _refuse
        self._lock = threading.RLock()
        self._segment: Segment | None = None
        self._retired: deque[Segment] = deque()
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._sequence = 0
        self._owner: Descriptor | None = None
        self._retry_at = 0
        self._busy = False
        self._attendant = self._closed = False

    def append(self, record: bytes) -> None:
        """Write one complete record (ending in LF). Never raises."""
        try:
            self._write(record)
        except ValueError:
            self._append_slowly(record)

    @property
    def pending(self) -> int:
        """Bytes that wait in memory since they cannot be written now."""
        return self._queued

    def _append_slowly(self, record: bytes) -> None:
        """No room, or nothing open: rotate, or queue.

        The lock is re-entrant because a finaliser or a signal handler may append while this very thread
        rotates; such records are queued behind.
        """
        try:
            with self._lock:
                self._enqueue(record)
                self._settle()
        except Exception as error:
            guard.caught("journal.append", error)

    def _enqueue(self, record: bytes) -> None:
        if self._queued + len(record) > QUEUE_BYTES and self._queue:
            self._on_loss("journal_unwritable", 1)
            return
        self._queue.append(record)
        self._queued += len(record)

    def _settle(self) -> None:
        """Drain the queue unless this very thread is at it already."""
        with self._lock:
            if self._busy:
                return
            self._busy = True
            try:
                self._drain()
            finally:
                self._busy = False

    def _drain(self) -> None:
        """Write the queue in order, opening segments as needed; stop at the first failure."""
        while self._queue:
            record = self._queue[0]
            try:
                self._write(record)
            except ValueError:
                if not self._open(len(record)):
                    return
                continue
            self._queue.popleft()
            self._queued -= len(record)

    def _open(self, room: int) -> bool:
        """Put a fresh segment in place; False (and the reason kept) when that cannot be had now."""
        if self.trouble is not None and clock.tick() < self._retry_at:
            return False
        if self._grow(room):
            return True
        try:
            if self._owner is None:
                self._claim()
            segment = self._make(max(self._next_size, self._need(room)))
        except (OSError, StoreError, ValueError) as error:
            self._write = _refuse  # later, smaller records must not overtake the one that waits
            self.trouble = str(error)
            self._retry_at = clock.tick() + RETRY_NS
            self._next_size = self._first_size  # where much cannot be had, a little may
            self._start_attendant()
            return False
        self._publish(segment)
        self.trouble = None
        self._next_size = self._step
        return True

    def _grow(self, room: int) -> bool:
        """More room in the open segment, which costs no wait for the GIL; False where that cannot be had."""
        segment = self._segment
        if segment is None or self.trouble is not None:
            return False
        size = segment.size + max(self._step, room)
        if size > self._largest:
            return False
        try:
            segment.grow(size)
        except (OSError, ValueError, BufferError, SystemError):
            return False
        return True

    def _need(self, room: int) -> int:
        return HEADER_BYTES + len(self._process) + room

    def _make(self, size: int) -> Segment:
        self._sequence += 1
        path = self.store / stores.JOURNAL / f"{self.procid}.{self._sequence:06d}.seg"
        segment = Segment(path, self.procid, size, keep_gil=self._sequence > 1)
        segment.write(self._process)
        return segment

    def _publish(self, segment: Segment) -> None:
        """Swap segments: first refuse on the old one, so that no late writer lands behind its seal."""
        old = self._segment
        if old is not None:
            old.seal()
            old.release()
            self._retired.append(old)
        self._segment = segment
        self._write = segment.write
        self._start_attendant()

    def _claim(self) -> None:
        """Make the store if need be and hold this process's liveness lock."""
        if self._sequence and not self.store.parent.is_dir():
            raise StoreError(f"the store {self.store} and its folder were deleted")
        stores.create(self.store)
        path = self.store / stores.JOURNAL / f"{self.procid}.owner"
        claim = path.with_suffix(".claim")
        self._owner = Descriptor(os.open(claim, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            import fcntl
        except ImportError:  # Windows: no liveness lock; the reader goes by the age of the file
            pass
        else:
            fcntl.flock(self._owner.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        claim.rename(
            path
        )  # under its name it is locked from the first: nobody takes a living process for dead

    # -- the journal's own thread: retires old segments, repairs ----------------

    def _start_attendant(self) -> None:
        if not self._attendant:
            self._attendant = True
            try:
                _thread.start_new_thread(self._attend, ())
            except RuntimeError:  # the interpreter is going down, or no thread can be had
                self._attendant = False

    def _attend(self) -> None:
        while not self._closed:
            try:
                with _fork.upkeep:
                    self.attend()
            except Exception as error:
                guard.count_loss(f"internal:journal.attend:{type(error).__name__}", 1)
            time.sleep(ATTEND_S)

    def attend(self) -> None:
        """One round of upkeep: retired segments, vanished store, queued records."""
        self._attend_hook()
        while self._retired:
            self._retired.popleft().close()
        segment = self._segment
        if segment is not None and segment.vanished():
            self._move_house(segment)
        elif segment is not None and not (segment.ours() and self._owner is not None and self._owner.ours()):
            self._begin_again(segment)
        if self._queue:
            self._settle()

    def _move_house(self, segment: Segment) -> None:
        """The store was deleted or moved away under us: carry what this segment holds into a new one."""
        with self._lock:
            if segment is not self._segment:
                return
            segment.seal()
            records = segment.content()  # before it is retired: another round may close it at once
            self._let_go(segment)
            self._on_loss("store_vanished", 1)
            self._queue.appendleft(records)
            self._queued += len(records)
            self._settle()

    def _begin_again(self, segment: Segment) -> None:
        """The program has closed our descriptors, the liveness lock with them: go on in a new segment."""
        with self._lock:
            if segment is self._segment:
                segment.seal()
                self._let_go(segment)
                self._open(0)

    def _let_go(self, segment: Segment) -> None:
        """Give up a sealed segment and everything that belongs to it."""
        self._segment, self._write = None, _refuse
        self._retired.append(segment)
        self._release_owner()

    def _release_owner(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.close()

    def close(self) -> None:
        """Seal what is open and let go of it: the store was exchanged for another."""
        with guard("journal.close"), self._lock:
            self._settle()
            self._closed = True
            segment, self._segment, self._write = self._segment, None, _refuse
            if segment is not None:
                segment.seal()
                segment.close()
            while self._retired:
                self._retired.popleft().close()
            self._release_owner()

    def after_fork_in_child(self) -> None:
        """Let go of everything inherited; this object is not used again in the child."""
        self._write = _refuse
        for segment in (self._segment, *self._retired):
            if segment is not None:
                segment.abandon()
        self._release_owner()


class _Fork:
    """Keeps a fork out of the rounds of upkeep.

    What that thread is importing or has locked at that moment would be so for ever in the child, which has a
    copy of everything but the thread: the child would hang at its next import of the same module.
    """

    def __init__(self) -> None:
        self.in_child()

    def in_child(self) -> None:
        """Begin anew: the lock may be held by a thread that is not here."""
        self.upkeep = threading.Lock()
        self._here = threading.local()

    def before(self) -> None:
        """Wait for the round that is under way."""
        self._here.held = self.upkeep.acquire(timeout=FORK_PATIENCE_S)

    def after(self) -> None:
        """Let the next round begin."""
        if self._here.held:
            self.upkeep.release()


_fork = _Fork()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_fork.before, after_in_parent=_fork.after, after_in_child=_fork.in_child)
