"""Bytes of a journal segment -> records. Total: no bytes whatever make it raise.

A record is a list of cells (bytes): `[kind, version, ...]`. Nothing inside a cell is looked at here, so a
body of a megabyte costs one split.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

VERSION: Final = b"1"
CELLS: Final = {
    b"process": 3,
    b"start": 11,
    b"end": 10,
    b"attempt": 8,
    b"patch": 6,
    b"score": 3,
    b"loss": 3,
}
"""Record kinds of journal version 1 and their number of cells, kind and version included."""

Record = list[bytes]
_WRITTEN: Final = re.compile(rb"[^\0]")


@dataclass(slots=True)
class Parsed:
    """Records of one stretch of a segment."""

    records: list[Record] = field(default_factory=list)
    consumed: int = 0
    """Bytes that are done with; the next read starts behind them."""
    losses: dict[str, int] = field(default_factory=dict)
    """Lines that were given up, by reason."""

    def lose(self, reason: str) -> None:
        """Count one line given up."""
        self.losses[reason] = self.losses.get(reason, 0) + 1


def parse(data: bytes, *, final: bool, at_end: bool = True) -> Parsed:
    """Take the complete lines of `data`, which starts at a record boundary.

    Stops at the first NUL (room not written yet). Where `final` says that nobody writes any more, holes are
    jumped over, and a torn tail is counted if `data` reaches the end of the file (`at_end`).
    """
    out = Parsed()
    if final:
        _take_final(out, data, at_end=at_end)
    else:
        hole = data.find(b"\0")
        _take(out, data, 0, len(data) if hole < 0 else hole, final=False)
    return out


def _take(out: Parsed, data: bytes, start: int, stop: int, *, final: bool) -> None:
    """Append the records of `data[start:stop]`; a last line without LF is torn when `final`."""
    last = data.rfind(b"\n", start, stop)
    if last >= 0:
        _split(out, data[start:last])
        out.consumed = last + 1
    if final and stop > max(last + 1, start):
        out.lose("torn_record")
        out.consumed = stop


def _take_final(out: Parsed, data: bytes, *, at_end: bool) -> None:
    """A closed segment: NULs are its end, or (never by our writer) holes with more lines behind."""
    start = 0
    while (hole := data.find(b"\0", start)) >= 0:
        _take(out, data, start, hole, final=True)
        behind = _WRITTEN.search(data, hole)
        line_end = data.find(b"\n", behind.start()) if behind else -1
        if behind:
            out.lose("torn_record")
        if line_end < 0:
            out.consumed = len(data)
            return
        out.consumed = start = line_end + 1
    _take(out, data, start, len(data), final=at_end)


def _split(out: Parsed, region: bytes) -> None:
    """Split complete lines into cells, keeping those of a known kind, version and width."""
    records = out.records
    sizes = CELLS
    for line in region.split(b"\n"):
        cells = line.split(b"\t")
        try:
            if cells[1] == VERSION and sizes[cells[0]] == len(cells):
                records.append(cells)
                continue
        except (IndexError, KeyError):
            pass
        _refuse(out, cells)


def _refuse(out: Parsed, cells: Record) -> None:
    """Say why a line is no record: of a kind or version that is not known yet, or garbage."""
    if cells[0] == b"void":  # erased in place
        return
    plausible = len(cells) > 2 and cells[0].isalpha() and cells[1].isdigit()
    known = plausible and cells[0] in CELLS and cells[1] == VERSION
    out.lose("unknown_record" if plausible and not known else "garbage_record")
