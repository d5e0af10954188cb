"""A store in memory behind the reader's interface, for the viewer's tests."""

from __future__ import annotations

import json
import math
import random
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from viewer_traces import EPOCH_NS, QUESTIONS, Writer, agent, broken, failing, hostile, running, support

from spanreel.analysis.tool_calls import Step, ToolCall, link
from spanreel.errors import QueryError
from spanreel_exporters.duckdb.reader import NO_FILTERS
from spanreel_exporters.duckdb.results import (
    Facet,
    Facets,
    Hit,
    Hits,
    LossRow,
    SpanDetail,
    Summary,
    Trace,
    TracePage,
    TraceRow,
    TraceTotals,
    WireExchange,
    WireSummary,
)
from spanreel_exporters.duckdb.search import snippet
from spanreel_viewer.source import Source

if TYPE_CHECKING:
    from spanreel_exporters.duckdb.bill import Bill, Filters
    from spanreel_exporters.duckdb.repricing import Estimate


class FixtureReader:
    """The reader's interface over traces in memory. A context manager, as the real one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.notices: list[str] = list(store.notices)
        self.missing_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def traces(
        self,
        *,
        text: str | None = None,
        status: str | None = None,
        state: str | None = None,
        model: str | None = None,
        kind: str | None = None,
        limit: int = 50,
        offset: int = 0,
        **_: Any,
    ) -> TracePage:
        matches = {t: hit for t, w in self._store.writers.items() if text and (hit := held(w, text))}

        def passes(row: TraceRow) -> bool:
            said = " ".join(
                filter(None, [row.name, row.input_preview, row.output_preview, row.error_message])
            ).lower()
            return (
                (not text or text.lower() in said or row.trace_id in matches) and (not status or row.status == status) and (not state or row.state == state)
                and (not model or model in row.models) and (not kind or kind in row.kinds)
            )  # fmt: skip

        rows = [row for row in self._store.rows() if passes(row)]
        return TracePage(
            rows[offset : offset + limit], len(rows), total_is_exact=True, limit=limit, offset=offset, matches=matches
        )  # fmt: skip

    def facets(self) -> Facets:
        rows = self._store.rows()

        def counted(values: list[str]) -> list[Facet]:
            names = sorted(set(values), key=lambda v: (-values.count(v), v))
            return [Facet(name, values.count(name)) for name in names]

        return Facets(
            statuses=counted([row.status for row in rows]), states=counted([row.state for row in rows]),
            models=counted([m for row in rows for m in row.models]), kinds=counted([k for row in rows for k in row.kinds]),
        )  # fmt: skip

    def resolve(self, name: str) -> str:
        found = [t for t in self._store.writers if t.startswith(name)]
        if len(found) == 1:
            return found[0]
        raise QueryError(
            f"{name!r} is the beginning of several traces"
            if found
            else f"there is no trace {name!r} in the fixture"
        )

    def trace(self, trace_id: str) -> Trace:
        w = self._writer(trace_id)
        return Trace(line(w), w.spans, [], [])

    def _writer(self, trace_id: str) -> Writer:
        if trace_id not in self._store.writers:
            raise QueryError(f"there is no trace {trace_id!r} in the fixture")
        return self._store.writers[trace_id]

    def span(self, trace_id: str, span_id: str) -> SpanDetail:
        w = self._writer(trace_id)
        row = next((s for s in w.spans if s.span_id == span_id), None)
        if row is None:
            raise QueryError(f"there is no span {span_id!r} in trace {trace_id}")
        body = w.bodies[span_id]
        wire = [
            WireSummary(one.attempt, "utf-8", one.meta, len(one.request), len(one.response))
            for one in body.wire
        ]
        return SpanDetail(
            row,
            body.input,
            body.output,
            json.dumps(body.attributes),
            None,
            "spanreel",
            body.documents,
            wire,
            [],
            [],
        )

    def tool_calls(self, trace_id: str) -> list[ToolCall]:
        w = self._writer(trace_id)
        return link(
            Step(
                row.span_id, row.parent_id, row.kind, row.name, row.tool_name, row.start_ns, row.end_ns,
                row.duplicate_of, w.bodies[row.span_id].input, w.bodies[row.span_id].output,
                json.dumps(w.bodies[row.span_id].attributes),
            )
            for row in w.spans
        )  # fmt: skip

    def wire(self, trace_id: str, span_id: str) -> list[WireExchange]:
        return self._writer(trace_id).bodies[span_id].wire

    def search(self, phrase: str, limit: int = 50) -> Hits:
        return Hits([], complete=True)

    def totals(self, **_: Any) -> TraceTotals:
        rows = self._store.rows()
        times = sorted(row.duration_ms for row in rows if row.state != "running")

        def rank(share: float) -> float | None:
            return times[max(math.ceil(share * len(times)) - 1, 0)] if times else None

        costs = [row.cost_usd for row in rows if row.cost_usd is not None]
        return TraceTotals(
            len(rows), sum(r.error_count > 0 for r in rows), sum(r.status == "error" for r in rows), sum(r.state == "running" for r in rows),
            sum(r.llm_calls for r in rows), sum(r.input_tokens or 0 for r in rows), sum(r.output_tokens or 0 for r in rows),
            sum(costs) if costs else None, sum(r.unpriced_calls for r in rows), rank(0.5), rank(0.95), rank(0.99), rank(1), len(times),
        )  # fmt: skip

    def bill(
        self, filters: Filters = NO_FILTERS, estimate: Estimate | None = None
    ) -> AbstractContextManager[Bill]:
        raise QueryError("the fixture keeps no bill")

    def summary(self) -> Summary:
        rows = self._store.rows()
        return Summary(
            store="/fixture/.spanreel", schema_version=1, spans=sum(r.span_count for r in rows), traces=len(rows), open_spans=0,
            llm_calls=sum(r.llm_calls for r in rows), input_tokens=sum(r.input_tokens or 0 for r in rows), output_tokens=sum(r.output_tokens or 0 for r in rows),
            cost_usd=sum(r.cost_usd or 0 for r in rows), unpriced_calls=sum(r.unpriced_calls for r in rows), error_spans=0, oldest_ns=None, newest_ns=None,
            database_bytes=1, journal_bytes=0, missing_bytes=0, writers=0, losses=self._store.losses, notices=self.notices,
        )  # fmt: skip


def held(w: Writer, text: str) -> Hit | None:
    """The first span of a trace whose input or output holds a text."""
    for span in w.spans:
        body = w.bodies[span.span_id]
        for where, said in (("input", body.input), ("output", body.output)):
            if said and text in said:
                around = snippet(said, text)
                return Hit(w.trace_id, span.span_id, span.name, span.kind, span.start_ns, where, around)
    return None


def line(w: Writer) -> TraceRow:
    """The row of the list for a trace."""
    root = w.spans[0]
    calls = [s for s in w.spans if s.kind == "llm"]
    worst = next((s for s in reversed(w.spans) if s.status == "error"), None)
    body = w.bodies[root.span_id]

    def total(name: str) -> Any:
        values = [getattr(s, name) for s in w.spans if getattr(s, name) is not None]
        return sum(values) if values else None

    def said(text: str | None) -> str | None:
        value = json.loads(text) if text else None
        if isinstance(value, dict):
            value = value.get("question") or value.get("answer") or json.dumps(value)
        return str(value)[:160] if value is not None else None

    end = root.end_ns
    return TraceRow(
        w.trace_id, root.span_id, root.name, root.kind, root.state, root.status, root.start_ns, end, ((end or root.start_ns) - root.start_ns) / 1e6,
        len(w.spans), sum(1 for s in w.spans if s.status == "error"), len(calls), total("input_tokens"), total("output_tokens"), total("cost_usd"),
        sum(1 for s in calls if s.cost_source == "unpriced"), root.session_id, root.user_id, root.service, root.environment, root.release,
        sorted({s.request_model for s in w.spans if s.request_model}), sorted({s.kind for s in w.spans}), [],
        worst.span_id if worst else None, worst.error_type if worst else None, worst.error_message if worst else None,
        said(body.input), said(body.output), 0,
    )  # fmt: skip


@dataclass
class Store:
    """Traces in memory; `beat()` says that something changed."""

    writers: dict[str, Writer] = field(default_factory=dict)
    losses: list[LossRow] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    beats: int = 0

    def add(self, writer: Writer) -> None:
        self.writers[writer.trace_id] = writer
        self.beats += 1

    def rows(self) -> list[TraceRow]:
        return sorted((line(w) for w in self.writers.values()), key=lambda row: row.start_ns, reverse=True)

    def token(self) -> str:
        return str(self.beats)

    def source(self) -> Source:
        return Source(lambda: FixtureReader(self), self, "fixture", "/fixture/.spanreel")


def trace_id(number: int) -> str:
    """A stable id that looks like one."""
    return f"{random.Random(number).getrandbits(128):032x}"


def standard(*, many: int = 40, sizes: tuple[int, ...] = (50, 1000, 10_000)) -> Store:
    """The store of the browser tests: each state once, `many` ordinary runs, agent runs of the sizes."""
    store = Store()
    for number in range(many):
        question, answer = QUESTIONS[number % len(QUESTIONS)]
        store.add(
            support(
                trace_id(number),
                EPOCH_NS - number * 61 * 10**9,
                question=question,
                answer=answer,
                scale=0.4 + (number * 7 % 11) / 8,
            )
        )
    store.add(failing("fa11" + trace_id(900)[4:], EPOCH_NS + 20 * 10**9))
    store.add(running("aa00" + trace_id(901)[4:], EPOCH_NS + 30 * 10**9))
    store.add(broken("b0b0" + trace_id(902)[4:], EPOCH_NS + 10 * 10**9))
    store.add(hostile("666f" + trace_id(903)[4:], EPOCH_NS - 5 * 10**9))
    for size in sizes:
        store.add(agent(f"{size:06d}" + trace_id(size)[6:], EPOCH_NS - (size + 10_000) * 10**9, size))
    store.losses.append(LossRow("truncated", 1, "support-desk", 2, EPOCH_NS, EPOCH_NS))
    return store
