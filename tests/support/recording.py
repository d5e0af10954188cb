"""Record into a store of one's own and read its journal back, without the store's reader."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from spanreel import config
from spanreel import recorder as recorders


@dataclass
class Seen:
    """A span as the journal tells it."""

    trace: str
    span: str
    parent: str
    flags: str
    kind: str
    name: str
    start_ns: int
    input: Any = None
    attributes: dict[str, Any] = field(default_factory=dict)
    ended: bool = False
    end_ns: int = 0
    status: str = ""
    first_ns: int | None = None
    output: Any = None
    error: dict[str, Any] | None = None
    attempts: list[tuple[dict[str, Any], str, str]] = field(default_factory=list)
    ends: int = 0


class Recording:
    """A recorder of its own for one test."""

    def __init__(self, store: Path, **options: Any) -> None:
        self.store = store
        self._before = (recorders._holder.settings, recorders._holder.recorder)
        recorders._holder.settings = config.from_environment({"SPANREEL_KEEPER": "off"})
        recorders._holder.recorder = None
        recorders.configure(store=store, keeper="off", **options)

    def configure(self, **options: Any) -> None:
        recorders.configure(**options)

    def close(self) -> None:
        recorder = recorders._holder.recorder
        if recorder is not None:
            recorder.journal.close()
        recorders._holder.settings, recorders._holder.recorder = self._before

    def losses(self) -> dict[str, int]:
        recorder = recorders._holder.recorder
        if recorder is not None:
            recorder.write_losses()
        found: dict[str, int] = {}
        for cells in records(self.store):
            if cells[0] == b"loss":
                info = orjson.loads(cells[2])
                found[info["reason"]] = found.get(info["reason"], 0) + info["count"]
        return found

    def scores(self) -> list[dict[str, Any]]:
        return [orjson.loads(cells[2]) for cells in records(self.store) if cells[0] == b"score"]

    def processes(self) -> list[dict[str, Any]]:
        return [orjson.loads(cells[2]) for cells in records(self.store) if cells[0] == b"process"]

    def raw(self) -> bytes:
        return b"".join(path.read_bytes() for path in segments(self.store))

    def spans(self) -> list[Seen]:
        return spans(self.store)

    def one(self, name: str) -> Seen:
        found = [span for span in self.spans() if span.name == name]
        assert len(found) == 1, (name, [span.name for span in self.spans()])
        return found[0]


def segments(store: Path) -> list[Path]:
    return sorted((store / "journal").glob("*.seg"))


def records(store: Path) -> list[list[bytes]]:
    found = []
    for path in segments(store):
        for line in path.read_bytes()[64:].split(b"\n"):
            if not line or b"\0" in line:
                break
            found.append(line.split(b"\t"))
    return found


def spans(store: Path) -> list[Seen]:
    found: dict[tuple[bytes, bytes], Seen] = {}
    for cells in records(store):
        if cells[0] == b"start":
            _, _, trace, span, parent, flags, start, kind, name, given, attributes = cells
            found[trace, span] = Seen(
                trace.decode(), span.decode(), parent.decode(), flags.decode(), kind.decode(),
                orjson.loads(name), int(start), _json(given), _json(attributes) or {},
            )  # fmt: skip
        elif cells[0] == b"end":
            _, _, trace, span, end, status, first, output, attributes, error = cells
            seen = found[trace, span]
            seen.ended, seen.end_ns, seen.status = True, int(end), status.decode()
            seen.first_ns = int(first) if first else None
            seen.output, seen.error = _json(output), _json(error)
            seen.attributes.update(_json(attributes) or {})
            seen.ends += 1
        elif cells[0] == b"attempt":
            found[cells[2], cells[3]].attempts.append(
                (orjson.loads(cells[5]), orjson.loads(cells[6]), orjson.loads(cells[7]))
            )
        elif cells[0] == b"patch":
            found[cells[2], cells[3]].attributes.update(orjson.loads(cells[5]))
    return list(found.values())


def _json(cell: bytes) -> Any:
    return orjson.loads(cell) if cell else None
