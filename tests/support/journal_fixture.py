"""A small deterministic writer of the journal format, for tests of what reads it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import orjson

HEADER = 64
T0 = 1_700_000_000_000_000_000
MS = 1_000_000


def ids(number: int) -> tuple[str, str]:
    return f"{number:032x}", f"{number:016x}"


class Writer:
    """One writing process. `die()` lets go of the owner lock, as the death of the process would."""

    def __init__(
        self,
        store: Path,
        procid: str = "100-0badb007-00000001",
        *,
        service: str = "svc",
        age_s: float = 60.0,
        **process,
    ) -> None:
        self.store = store
        self.procid = procid
        self.folder = store / "journal"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.owner = self.folder / f"{procid}.owner"
        self.handle = os.open(self.owner, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        past = self.owner.stat().st_mtime - age_s
        os.utime(self.owner, (past, past))
        self.process = {
            "pid": int(procid.split("-", maxsplit=1)[0]),
            "procid": procid,
            "service": service,
            "start_ns": T0,
            "environment": None,
            "release": None,
            **process,
        }
        self.number = 0
        self.rotate()

    @property
    def path(self) -> Path:
        return self.folder / f"{self.procid}.{self.number:06d}.seg"

    def rotate(self, size: int = 1 << 16) -> None:
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
        with self.path.open("r+b") as file:
            file.seek(self.used)
            file.write(data)
            self.used += len(data)
            if self.used + 64 > self.path.stat().st_size:
                file.seek(0, os.SEEK_END)
                file.write(bytes(1 << 16))

    def line(self, *cells: object) -> None:
        self.raw(line(*cells))

    def start(
        self,
        trace: str,
        span: str,
        parent: str = "",
        *,
        flags: str = "",
        at: int = T0,
        kind: str = "chain",
        name: str = "step",
        given: object = None,
        attributes: dict | None = None,
    ) -> None:
        self.raw(
            start(
                trace,
                span,
                parent,
                flags=flags,
                at=at,
                kind=kind,
                name=name,
                given=given,
                attributes=attributes,
            )
        )

    def end(
        self,
        trace: str,
        span: str,
        *,
        at: int = T0 + 5 * MS,
        status: str = "ok",
        first: int | None = None,
        output: object = None,
        attributes: dict | None = None,
        error: dict | None = None,
    ) -> None:
        self.raw(
            end(
                trace,
                span,
                at=at,
                status=status,
                first=first,
                output=output,
                attributes=attributes,
                error=error,
            )
        )

    def attempt(self, trace: str, span: str, seq: int, meta: dict, request: str, response: str) -> None:
        self.line("attempt", 1, trace, span, seq, meta, orjson.dumps(request), orjson.dumps(response))

    def patch(self, trace: str, span: str, attributes: dict, at: int = T0 + MS) -> None:
        self.line("patch", 1, trace, span, at, attributes)

    def die(self) -> None:
        os.close(self.handle)


def line(*cells: object) -> bytes:
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
    trace, span, parent="", *, flags="", at=T0, kind="chain", name="step", given=None, attributes=None
) -> bytes:
    body = None if given is None else orjson.dumps(given)
    return line("start", 1, trace, span, parent, flags, at, kind, orjson.dumps(name), body, attributes)


def end(
    trace, span, *, at=T0 + 5 * MS, status="ok", first=None, output=None, attributes=None, error=None
) -> bytes:
    body = None if output is None else orjson.dumps(output)
    return line("end", 1, trace, span, at, status, first, body, attributes, error)
