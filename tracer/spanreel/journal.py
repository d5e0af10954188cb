"""The crash-proof segment writer: what is appended here survives any death of the process.

Not promised: power loss, or the loss of the disk. `append` never raises and never waits for the disk; what
cannot be written (disk full, store gone, no permission) waits in a bounded queue and is retried, and what
does not fit there is counted as lost.
"""

from __future__ import annotations

import _thread
import os
import threading
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
SEGMENT: Final = 4 << 20
"""Bytes. The first is small, since most processes write little; each next is four times larger, up to this."""
GROWTH: Final = 4
LARGEST: Final = 16 << 20
"""Bytes up to which a segment grows in place, `SEGMENT` at a time, before the next file is begun."""
QUEUE_BYTES: Final = 8 << 20
"""Records held in memory while nothing can be written."""
RETRY_NS: Final = 250_000_000
ATTEND_S: Final = 0.5


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
        segment: int = SEGMENT,
        largest: int = LARGEST,
        on_loss: Callable[[str, int], None] = lambda _reason, _count: None,
        attend: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self.procid: str = process["procid"]
        self.trouble: str | None = None
        self._process = b"process\t1\t" + orjson.dumps(process) + b"\n"
        self._first_size = self._next_size = first_segment
        self._segment_size = segment
        self._largest = largest
        self._on_loss = on_loss
        self._attend_hook = attend
        self._write: Callable[[bytes], int] = _refuse
        self._lock = threading.RLock()
        self._segment: Segment | None = None
        self._spare: Segment | None = None
        self._retired: deque[Segment] = deque()
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._sequence = 0
        self._owner: Descriptor | None = None
        self._retry_at = 0
        self._busy = False
        self._attendant = self._closed = False
        self._wake = threading.Lock()
        self._wake.acquire()

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
        if self._spare is None and self._grow(room):
            return True
        try:
            if self._owner is None:
                self._claim()
            segment = self._take_spare(room) or self._make(
                max(self._next_size, self._need(room)), keep_gil=self._sequence > 0
            )
        except (OSError, StoreError, ValueError) as error:
            self._write = _refuse  # later, smaller records must not overtake the one that waits
            self.trouble = str(error)
            self._retry_at = clock.tick() + RETRY_NS
            self._next_size = self._first_size  # where much cannot be had, a little may
            self._start_attendant()
            return False
        self._publish(segment)
        self.trouble = None
        self._next_size = min(self._next_size * GROWTH, self._segment_size)
        return True

    def _grow(self, room: int) -> bool:
        """More room in the open segment, which costs no wait for the GIL; False where that cannot be had."""
        segment = self._segment
        if segment is None or self.trouble is not None:
            return False
        size = max(min(segment.size * GROWTH, segment.size + self._segment_size), segment.size + room)
        if size > self._largest:
            return False
        try:
            segment.grow(size)
        except (OSError, ValueError, BufferError, SystemError):
            return False
        self._call_attendant()
        return True

    def _need(self, room: int) -> int:
        return HEADER_BYTES + len(self._process) + room

    def _take_spare(self, room: int) -> Segment | None:
        spare, self._spare = self._spare, None
        if spare is None:
            return None
        if spare.size >= self._need(room) and not spare.vanished():
            return spare
        self._retired.append(spare)
        return None

    def _make(self, size: int, *, keep_gil: bool = False) -> Segment:
        with self._lock:  # the attendant makes the spare
            self._sequence += 1
            number = self._sequence
        path = self.store / stores.JOURNAL / f"{self.procid}.{number:06d}.seg"
        segment = Segment(path, self.procid, size, keep_gil=keep_gil)
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
        self._call_attendant()

    def _claim(self) -> None:
        """Make the store if need be and hold this process's liveness lock."""
        if self._sequence and not self.store.parent.is_dir():
            raise StoreError(f"the store {self.store} and its folder were deleted")
        stores.create(self.store)
        path = self.store / stores.JOURNAL / f"{self.procid}.owner"
        self._owner = Descriptor(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            import fcntl
        except ImportError:  # Windows: no liveness lock; the reader goes by the age of the file
            return
        fcntl.flock(self._owner.number, fcntl.LOCK_EX | fcntl.LOCK_NB)

    # -- the journal's own thread: prepares the next segment, retires old ones, repairs ----------------

    def _start_attendant(self) -> None:
        if not self._attendant:
            self._attendant = True
            try:
                _thread.start_new_thread(self._attend, ())
            except RuntimeError:  # the interpreter is going down, or no thread can be had
                self._attendant = False

    def _call_attendant(self) -> None:
        """Have the spare made now: whoever fills a segment quickly is spared the page faults of the next."""
        if self._sequence > 1 and self._wake.locked():
            try:
                self._wake.release()
            except RuntimeError:
                pass  # another thread was as quick

    def _attend(self) -> None:
        while not self._closed:
            try:
                self.attend()
            except Exception as error:
                guard.count_loss(f"internal:journal.attend:{type(error).__name__}", 1)
            self._wake.acquire(timeout=ATTEND_S)

    def attend(self) -> None:
        """One round of upkeep: spare segment, retired segments, vanished store, queued records."""
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
        if self._sequence > 1 and self._spare is None and self.trouble is None:
            self._prepare()

    def _prepare(self) -> None:
        try:
            spare = self._make(self._next_size)
        except (OSError, ValueError):
            return  # met again, and reported, when the room is needed
        spare.populate()
        self._spare = spare

    def _move_house(self, segment: Segment) -> None:
        """The store was deleted or moved away under us: carry what this segment holds into a new one."""
        with self._lock:
            if segment is not self._segment:
                return
            self._let_go(segment)
            records = segment.content()
            self._on_loss("store_vanished", 1)
            self._queue.appendleft(records)
            self._queued += len(records)
            self._settle()

    def _begin_again(self, segment: Segment) -> None:
        """The program has closed our descriptors, the liveness lock with them: go on in a new segment."""
        with self._lock:
            if segment is self._segment:
                self._let_go(segment)
                self._open(0)

    def _let_go(self, segment: Segment) -> None:
        """Seal the open segment and give up everything that belongs to it."""
        segment.seal()
        self._segment, self._write = None, _refuse
        if self._spare is not None:
            self._retired.append(self._spare)
            self._spare = None
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
            for open_segment in (segment, self._spare):
                if open_segment is not None:
                    open_segment.seal()
                    open_segment.close()
            self._spare = None
            while self._retired:
                self._retired.popleft().close()
            self._release_owner()

    def after_fork_in_child(self) -> None:
        """Let go of everything inherited; this object is not used again in the child."""
        self._write = _refuse
        for segment in (self._segment, self._spare, *self._retired):
            if segment is not None:
                segment.abandon()
        self._release_owner()
