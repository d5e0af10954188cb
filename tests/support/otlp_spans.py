"""The sample spans of tests/data/spans, as the analysis gets them, and what they must be read as."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from spanreel.analysis.dialects import normalise
from spanreel.analysis.dialects.foreign import EVENTS, OTLP, SCOPE
from spanreel.analysis.record import Canonical, RawSpan
from spanreel_exporters.otlp.decode_json import decode

FOLDER: Final = Path(__file__).parent.parent / "data" / "spans"
FACTS: Final = FOLDER.parent / "span_facts.json"
_STATUS: Final = {1: "ok", 2: "error"}
_LEFT_OUT: Final = frozenset(
    {"name", "attributes", "documents", "input", "output", "metadata", "error_message"}
)


def samples() -> list[str]:
    """Names of the sample files, without the suffix."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def spans(name: str) -> Iterator[RawSpan]:
    """The spans of a sample file, in its order."""
    for span in decode(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))).spans:
        attributes = {**span.attributes, SCOPE: span.scope, OTLP: {"status_message": span.status_message}}
        if span.events:
            attributes[EVENTS] = span.events
        yield RawSpan(
            trace_id=span.trace_id, span_id=span.span_id, parent_id=span.parent_id or None, foreign_parent=False,
            kind="span", name=span.name, start_ns=span.start_ns, end_ns=span.end_ns, state="ended",
            status=_STATUS.get(span.status, "unset"), attributes=attributes,
        )  # fmt: skip


def facts(row: Canonical) -> dict[str, Any]:
    """What a row says, as the facts file has it: columns that are set, content of calls, tools and retrievals."""
    told: dict[str, Any] = {"span": row.name}
    for name in Canonical.__dataclass_fields__:
        value = getattr(row, name)
        if name not in _LEFT_OUT and value not in (None, []):
            told[name] = round(value, 9) if isinstance(value, float) else value
    if row.kind in {"llm", "tool", "retrieval", "embedding", "agent"}:
        told["input"] = None if row.input is None else json.loads(row.input)
        told["output"] = None if row.output is None else json.loads(row.output)
    if row.documents:
        told["documents"] = [[item.id, item.score, item.content] for item in row.documents]
    return told


def span(
    attributes: dict[str, Any], *, scope: str = "", events: Any = None, status: str = "ok", name: str = "s"
) -> RawSpan:
    """A span of another instrumentation, of 1 us."""
    attributes = {**attributes, SCOPE: {"name": scope}, OTLP: {}}
    if events is not None:
        attributes[EVENTS] = events
    return RawSpan(
        trace_id="0" * 32, span_id="0" * 16, parent_id=None, foreign_parent=False, kind="span", name=name, start_ns=1_000,
        end_ns=2_000, state="ended", status=status, attributes=attributes,
    )  # fmt: skip


def read(attributes: dict[str, Any], **more: Any) -> Canonical:
    """What such a span is read as; no dialect may have failed."""
    lost: list[str] = []
    row = normalise(span(attributes, **more), lose=lost.append)
    assert lost == []
    return row
