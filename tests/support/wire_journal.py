"""What the wire tests read back: the spans in a store's journal, as the ingest would see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from spanreel.protocols import table
from spanreel_exporters.duckdb.assemble import Assembler, build
from spanreel_exporters.duckdb.parse import parse

if TYPE_CHECKING:
    from pathlib import Path

    from spanreel.analysis.record import RawSpan
    from spanreel.protocols.call import Call

HEADER = 64


@dataclass
class Recorded:
    """One span with its attempts folded."""

    raw: RawSpan
    process: dict[str, Any]

    @property
    def call(self) -> Call:
        return table.fold(self.raw.attributes["spanreel.protocol"], self.raw.attempts)

    @property
    def meta(self) -> dict[str, Any]:
        return self.raw.attempts[0].meta

    @property
    def response(self) -> bytes:
        return self.raw.attempts[0].response

    @property
    def said(self) -> str:
        """All text of the first output message."""
        return "".join(p["content"] for p in self.call.output_messages[0]["parts"] if p["type"] == "text")


def journal_bytes(store: Path) -> bytes:
    """Every byte of every segment."""
    return b"".join(path.read_bytes() for path in sorted((store / "journal").glob("*.seg")))


def losses(store: Path) -> dict[str, int]:
    """Losses by reason."""
    found: dict[str, int] = {}
    for record in _records(store):
        if record[0] == b"loss":
            loss = orjson.loads(record[2])
            found[loss["reason"]] = found.get(loss["reason"], 0) + loss["count"]
    return found


def spans(store: Path, kind: str | None = None) -> list[Recorded]:
    """The spans of a store, oldest first; running ones included."""
    assembler = Assembler()
    for record in _records(store):
        if record[0] in {b"start", b"end", b"attempt", b"patch"}:
            assembler.feed("test", record)
    lost: list[str] = []
    built = [build(key, pending, {}, lose=lost.append) for key, pending in assembler.spans.items()]
    assert not lost, lost
    return [
        Recorded(raw, {}) for raw in sorted(built, key=lambda raw: raw.start_ns) if kind in {None, raw.kind}
    ]


def only(store: Path, kind: str = "llm") -> Recorded:
    """The one span of a kind."""
    found = spans(store, kind)
    assert len(found) == 1, [span.raw.name for span in found]
    return found[0]


def _records(store: Path) -> list[list[bytes]]:
    records = []
    for path in sorted((store / "journal").glob("*.seg")):
        parsed = parse(path.read_bytes()[HEADER:], final=False)
        assert not parsed.losses
        records.extend(parsed.records)
    return records
