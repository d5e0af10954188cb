"""A small deterministic writer of the journal format, for tests of what reads it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import orjson

HEADER = 64
T0 = 1_700_000_000_000_000_000
MS = 1_000_000
Attributes = dict[str, Any]


def ids(number: int) -> tuple[str, str]:
    """A trace id and a span id."""
    return f"{number:032x}", f"{number:016x}"


class Writer:
    """One writing process. `die()` lets go of the owner lock, as the death of the process would."""

    def __init__(self, store: Path, procid: str = "100-0badb007-00000001", **process: Any) -> None:
        self.procid = procid
        self.folder = store / "journal"
        self.folder.mkdir(parents=True, exist_ok=True)
        owner = self.folder / f"{procid}.owner"
        self.handle = os.open(owner, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        past = owner.stat().st_mtime - 60  # beyond the grace of a writer that only begins
        os.utime(owner, (past, past))
        self.process: Attributes = {
            "pid": int(procid.partition("-")[0]), "procid": procid, "service": "svc", "start_ns": T0,
            "environment": None, "release": None, **process,
        }  # fmt: skip
        self.number = 0
        self.used = HEADER
        self.rotate()

    @property
    def path(self) -> Path:
        """The open segment."""
        return self.folder / f"{self.procid}.{self.number:06d}.seg"

    def rotate(self, size: int = 1 << 16) -> None:
        """Seal the open segment and begin the next."""
        if self.number:
            with self.path.open("r+b") as file:
                file.seek(19)
                file.write(b"sealed")
                file.truncate(self.used)
        self.number += 1
        header = f"spanreel-journal 1 open   {self.procid}".ljust(HEADER - 1).encode() + b"\n"
        self.path.write_bytes(header + bytes(size))
        self.used = HEADER
        self.raw(b"process\t1\t" + orjson.dumps(self.process) + b"\n")

    def raw(self, data: bytes) -> None:
        """Write bytes behind the last, keeping some NULs after them."""
        with self.path.open("r+b") as file:
            file.seek(self.used)
            file.write(data)
            self.used += len(data)
            if self.used + 64 > self.path.stat().st_size:
                file.seek(0, os.SEEK_END)
                file.write(bytes(1 << 16))

    def line(self, *cells: object) -> None:
        self.raw(line(*cells))

    def start(self, trace: str, span: str, parent: str = "", **options: Any) -> None:
        self.raw(start(trace, span, parent, **options))

    def end(self, trace: str, span: str, **options: Any) -> None:
        self.raw(end(trace, span, **options))

    def attempt(self, trace: str, span: str, seq: int, meta: Attributes, request: str, response: str) -> None:
        self.line("attempt", 1, trace, span, seq, meta, orjson.dumps(request), orjson.dumps(response))

    def patch(self, trace: str, span: str, attributes: Attributes, at: int = T0 + MS) -> None:
        self.line("patch", 1, trace, span, at, attributes)

    def die(self) -> None:
        os.close(self.handle)


def line(*cells: object) -> bytes:
    """One record: bytes as they are, dicts and lists as JSON, None as an empty cell."""

    def cell(value: object) -> bytes:
        if value is None:
            return b""
        if isinstance(value, bytes):
            return value
        if isinstance(value, dict | list):
            return orjson.dumps(value)
        return str(value).encode()

    return b"\t".join(cell(value) for value in cells) + b"\n"


def start(
    trace: str,
    span: str,
    parent: str = "",
    *,
    flags: str = "",
    at: int = T0,
    kind: str = "chain",
    name: str = "step",
    given: object = None,
    attributes: Attributes | None = None,
) -> bytes:
    """A `start` record; `given` becomes the input."""
    body = None if given is None else orjson.dumps(given)
    return line("start", 1, trace, span, parent, flags, at, kind, orjson.dumps(name), body, attributes)


def end(
    trace: str,
    span: str,
    *,
    at: int = T0 + 5 * MS,
    status: str = "ok",
    first: int | None = None,
    output: object = None,
    attributes: Attributes | None = None,
    error: Attributes | None = None,
) -> bytes:
    """An `end` record."""
    body = None if output is None else orjson.dumps(output)
    return line("end", 1, trace, span, at, status, first, body, attributes, error)
