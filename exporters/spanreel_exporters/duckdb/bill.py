"""The bill of a store: sums, percentiles and waste over the calls that pass some filters, re-priced if asked.

The calls are put into a temporary table of the reader's connection once; every question is a query over it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from spanreel_exporters.duckdb.bill_results import (
    Buckets,
    DayUsage,
    Group,
    Latency,
    PerQuery,
    Shares,
    Source,
    Waste,
)
from spanreel_exporters.duckdb.queries import sql
from spanreel_exporters.duckdb.repricing import Estimate, reprice

if TYPE_CHECKING:
    import duckdb

DIMENSIONS: Final = (
    "model", "provider", "session", "user", "tag", "name", "tool", "prompt", "step", "environment", "service", "release",
    "day", "kind", "tier", "source", "trace",
)  # fmt: skip
"""What sums can be made by; `name` is the root's, `step` the span above the call, `tool` the one it was made in."""
ALIASES: Final = {
    "cost_source": "source", "date": "day", "env": "environment", "prompt-version": "prompt", "prompt_name": "prompt",
    "prompt_version": "prompt", "root": "name", "root-name": "name", "root_name": "name", "service_tier": "tier",
    "session_id": "session", "tags": "tag", "tool_name": "tool", "trace_id": "trace", "user_id": "user",
}  # fmt: skip
"""Other words for them: those of the views, and those that people say."""
_DERIVED: Final = {"tool": "cost_tools", "prompt": "cost_prompts", "step": "cost_steps"}
_FETCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Filters:
    """Which calls; None switches a filter off. Times are ns since the epoch, of the call's start."""

    since_ns: int | None = None
    until_ns: int | None = None
    name: str | None = None
    """The name of the trace's root."""
    model: str | None = None
    provider: str | None = None
    session: str | None = None
    user: str | None = None
    tag: str | None = None
    service: str | None = None
    environment: str | None = None


class Bill:
    """Questions about one selection of calls, open for as long as its reader is."""

    def __init__(self, con: duckdb.DuckDBPyConnection, filters: Filters, estimate: Estimate | None) -> None:
        self._con = con
        self._derived: set[str] = set()
        self.billed = Decimal(0)
        """What the calls cost as they were recorded, whatever `estimate` makes of them."""
        con.execute(sql("cost_calls"), asdict(filters))
        if estimate is not None:
            self.billed = self.total().cost_usd or Decimal(0)
            reprice(con, estimate)

    def close(self) -> None:
        """Give the memory back."""
        self._con.execute(sql("cost_clear"))

    def _rows(self, name: str, params: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        cursor = (
            self._con.execute(_TEXTS[name]) if params is None else self._con.execute(_TEXTS[name], params)
        )
        return cursor.fetchall()

    def _derive(self, by: tuple[str, ...]) -> None:
        for name in by:
            if name in _DERIVED and name not in self._derived:
                self._con.execute(_TEXTS[_DERIVED[name]])
                self._derived.add(name)

    def total(self) -> Group:
        """The sums over all calls; all zero when there are none."""
        rows = self._rows("cost_groups", {"by": []})
        return _group(rows[0]) if rows else Group((), 0, 0, 0, 0, 0, 0, 0, 0, Buckets(*(0,) * 11), 0, None)

    def groups(self, by: tuple[str, ...]) -> list[Group]:
        """Sums by dimensions (of DIMENSIONS), the dearest first."""
        self._derive(by)
        return [_group(row) for row in self._rows("cost_groups", {"by": list(by)})]

    def sources(self) -> list[Source]:
        """Where the prices came from, the most frequent first."""
        return [Source(*row) for row in self._rows("cost_sources")]

    def per_query(self) -> PerQuery | None:
        """What one request cost; None when there was none."""
        rows = self._rows("cost_per_query", {"whole": True})
        return _per_query(rows[0]) if rows else None

    def per_query_by_name(self) -> list[PerQuery]:
        """The same by the name of the root, the dearest first."""
        return [_per_query(row) for row in self._rows("cost_per_query", {"whole": False})]

    def waste(self) -> list[Waste]:
        """Calls that bought nothing, by reason."""
        return [Waste(*row) for row in self._rows("cost_waste")]

    def retry_wait(self) -> tuple[int, float]:
        """(calls that were retried, ms that passed between their attempts)."""
        row = self._rows("cost_retry_wait")[0]
        return int(row[0]), float(row[1])

    def latency(self, by: tuple[str, ...]) -> list[Latency]:
        """Percentiles by dimensions (of DIMENSIONS, without `tag` and `source`), the most frequent first."""
        self._derive(by)
        return [_latency(row) for row in self._rows("cost_latency", {"by": list(by)})]

    def by_day(self) -> list[DayUsage]:
        """Usage by day and model."""
        return [DayUsage(*row) for row in self._rows("cost_by_day")]

    def requests(self) -> Iterator[dict[str, Any]]:
        """Every request with its text, by time."""
        cursor = self._con.execute(_TEXTS["cost_requests"])
        names = [column[0] for column in cursor.description]
        while rows := cursor.fetchmany(_FETCH):
            for row in rows:
                yield dict(zip(names, row, strict=True))


_NAMES: Final = (
    "cost_groups", "cost_sources", "cost_per_query", "cost_waste", "cost_retry_wait", "cost_latency", "cost_by_day",
    "cost_requests", "cost_tools", "cost_prompts", "cost_steps",
)  # fmt: skip
_TEXTS: Final = {name: sql(name) for name in _NAMES}


def _group(row: tuple[Any, ...]) -> Group:
    key, calls, traces, unpriced, tokens, failed, marked, given, made, buckets, searches, cost = row
    return Group(
        tuple(key or ()), calls, traces, unpriced, tokens, failed, marked, given, made,
        Buckets(*(count or 0 for count in buckets)), searches, cost,
    )  # fmt: skip


def _per_query(row: tuple[Any, ...]) -> PerQuery:
    name, queries, priced, cost, calls, unpriced, shares, most, dearest = row
    p50, p95, p99 = shares or (None, None, None)
    return PerQuery(name, queries, priced, cost, calls or 0, unpriced, p50, p95, p99, most, dearest)


def _latency(row: tuple[Any, ...]) -> Latency:
    (
        key,
        calls,
        streamed,
        reasoned,
        duration,
        longest,
        ttft,
        slowest,
        visible,
        latest,
        rate,
        waits,
        retried,
        retry,
        most,
    ) = row
    return Latency(
        key=tuple(key or ()), calls=calls, streamed=streamed, reasoned=reasoned, duration=_shares(duration, longest),
        ttft=_shares(ttft, slowest), first_visible=_shares(visible, latest),
        tokens_per_s_p50=rate and rate[0], tokens_per_s_p5=rate and rate[1],
        inter_token_p95_p50=waits and waits[0], inter_token_p95_p95=waits and waits[1],
        retried=retried, retry_wait=_shares(retry, most),
    )  # fmt: skip


def _shares(values: list[float] | None, most: float | None) -> Shares:
    return Shares(values[0], values[1], values[2], most) if values else Shares(None, None, None, None)
