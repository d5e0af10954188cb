"""What the tests of frameworks share: spans of the store as a tree, and what must hold for every trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import spanreel
from spanreel_exporters.duckdb.ingest import catch_up

CHAT = (1200, 40, 0.0001272)
"""Input and output tokens and cost of a chat of gpt-4o-mini with the loopback server, 1024 of them cached."""


class Trace:
    """The one trace of a store."""

    def __init__(self, store: Path) -> None:
        catch_up(store)
        self.store = store
        self.spans = [dict(row) for row in spanreel.sql("SELECT * FROM spans ORDER BY start_ns", store=store)]
        traces = spanreel.sql("SELECT * FROM traces", store=store)
        assert len(traces) == 1, [(t["name"], t["span_count"]) for t in traces]
        self.total = dict(traces[0])
        self.by_id = {span["span_id"]: span for span in self.spans}

    def one(self, name: str) -> dict[str, Any]:
        """The only span of a name."""
        found = self.named(name)
        assert len(found) == 1, [span["name"] for span in self.spans]
        return found[0]

    def named(self, name: str) -> list[dict[str, Any]]:
        return [span for span in self.spans if span["name"] == name]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [span for span in self.spans if span["kind"] == kind]

    def counted(self, kind: str = "llm") -> list[dict[str, Any]]:
        """Those of a kind that count."""
        return [span for span in self.of(kind) if span["duplicate_of"] is None]

    def above(self, span: dict[str, Any]) -> list[str]:
        """The names of what is above a span, the nearest first."""
        found = []
        while span["parent_id"] is not None:
            span = self.by_id[span["parent_id"]]
            found.append(span["name"])
        return found

    def documents(self) -> list[str]:
        return [row["content"] for row in spanreel.sql("SELECT content FROM documents", store=self.store)]

    def must_count(self, calls: int, each: tuple[int, int, float] = CHAT) -> None:
        """`calls` calls, each counted once though it is told twice; one root, nothing orphaned, all ended."""
        roots = [span for span in self.spans if span["parent_id"] is None]
        assert [
            span["parent_id"] for span in self.spans if span["parent_id"] not in {None, *self.by_id}
        ] == []
        assert len(roots) == 1
        assert {span["state"] for span in self.spans} == {"ended"}
        counted = self.counted()
        assert [(s["input_tokens"], s["output_tokens"]) for s in counted] == [each[:2]] * calls
        assert [s["cost_usd"] for s in counted] == [pytest.approx(each[2])] * calls
        assert self.total["llm_calls"] == calls
        assert (
            self.total["input_tokens"] - sum(s["input_tokens"] or 0 for s in self.counted("embedding"))
            == calls * each[0]
        )
        wired = [span for span in self.of("llm") if span["dialect"] == "spanreel"]
        assert len(wired) == calls


def pairs_with_and_without(
    program: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[tuple[str, str | None]], list[tuple[str, str | None]]]:
    """The (span, parent) pairs of an exporter of the user's, without spanreel's instrument() and with it."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(otel, "_TRACER_PROVIDER", provider)
    spanreel.uninstrument()
    program()
    without = _pairs(memory)
    memory.clear()
    spanreel.instrument()
    program()
    with_us = _pairs(memory)
    provider.shutdown()
    return without, with_us


def _pairs(memory: InMemorySpanExporter) -> list[tuple[str, str | None]]:
    spans = memory.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans if span.context}
    return sorted((span.name, names.get(span.parent.span_id, "?") if span.parent else None) for span in spans)
