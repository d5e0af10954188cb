"""Erasing records inside journal segments, also those that a living process still writes to.

A writer only ever appends beyond what it has written and never moves a record, so a complete line can be
overwritten in place by a filler of the same length (`void`, which readers skip) without the writer noticing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from spanreel.segment import HEADER_BYTES
from spanreel_exporters.duckdb.folder import SEGMENT, plain_files

VOID = b"void\t1\t"
_SPAN_KINDS = frozenset({b"start", b"end", b"attempt", b"patch"})


@dataclass(frozen=True, slots=True)
class Line:
    """One complete journal line: where it stands in its segment, and its bytes without the LF."""

    offset: int
    content: bytes

    def kind(self) -> bytes:
        """Return the record kind."""
        return self.content.partition(b"\t")[0]

    def trace_id(self) -> str | None:
        """Return the trace the record belongs to; None for records of no trace."""
        kind, _, rest = self.content.partition(b"\t")
        cells = rest.split(b"\t", 2)
        if kind in _SPAN_KINDS and len(cells) > 1:
            return cells[1].decode("ascii", "replace")
        if kind == b"score" and len(cells) > 1:
            try:
                return str(orjson.loads(cells[1])["trace_id"])
            except (ValueError, KeyError, TypeError):
                return None
        return None


def segments(store: Path) -> list[Path]:
    """Return the journal segments of a store, in the order of their names."""
    try:
        return [Path(entry.path) for entry in plain_files(store, SEGMENT)]
    except OSError:
        return []


def lines(segment: Path) -> Iterator[Line]:
    """Yield the complete lines of a segment; a line with a NUL (torn, or room not yet written) is none."""
    try:
        data = segment.read_bytes()
    except OSError:
        return
    start = HEADER_BYTES
    while (stop := data.find(b"\n", start)) >= 0:
        if stop > start and b"\0" not in data[start:stop]:
            yield Line(start, data[start:stop])
        start = stop + 1


def blank(store: Path, matches: Callable[[Line], bool]) -> int:
    """Overwrite the lines that match in every segment; return how many. Raises OSError."""
    erased = 0
    for segment in segments(store):
        found = [line for line in lines(segment) if line.kind() != VOID[:4] and matches(line)]
        if not found:
            continue
        try:
            descriptor = os.open(segment, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        try:
            for line in found:
                os.pwrite(descriptor, filler(len(line.content)), line.offset)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        erased += len(found)
    return erased


def filler(length: int) -> bytes:
    """Return a void record of `length` bytes."""
    return (VOID + b"x" * max(length - len(VOID), 0))[:length]
