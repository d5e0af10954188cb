"""How `spanreel cost` shows what it found: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from spanreel import terminal
from spanreel_exporters.duckdb.bill_results import BUCKETS

if TYPE_CHECKING:
    from spanreel_exporters.billing.reconciling import Figure, Line
    from spanreel_exporters.duckdb.bill import Bill
    from spanreel_exporters.duckdb.bill_results import CacheReport, Group, Latency, PerQuery, Shares, Waste
    from spanreel_exporters.duckdb.repricing import Estimate

_CELL: Final = 44
_LEAST: Final = 16
_WASTE: Final = {
    "retried": "that had to be sent again",
    "abandoned": "whose answer was not read to its end",
    "interrupted": "whose program ended before the answer",
    "failed": "that failed",
}


@dataclass(frozen=True, slots=True)
class Output:
    """Where to, and as what."""

    terminal: terminal.Terminal
    json: bool
    csv: bool
    limit: int

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], names: int) -> None:
        """A table whose first `names` columns are words; at most `limit` rows, the rest counted."""
        least = dict.fromkeys(columns[:names], _LEAST)
        self.terminal.table(columns, rows[: self.limit], right=columns[names:], least=least)
        if len(rows) > self.limit:
            self.dim(f"{len(rows) - self.limit:,} more; -n {len(rows)} shows all")

    def dim(self, text: str) -> None:
        """A line of lesser weight."""
        self.terminal.line(self.terminal.paint(text, "dim"))

    def rows(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """CSV: exact figures, every row; on a terminal control characters are made visible."""
        shown = terminal.one_line if sys.stdout.isatty() else str
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow(["" if value is None else shown(_plain(value)) for value in row])


def _plain(value: Any) -> Any:
    if not isinstance(value, Decimal):
        return value
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def number(value: Decimal | None) -> float | None:
    """An exact amount as the float that JSON has for it."""
    return None if value is None else float(value)


def _calls(number: int) -> str:
    return terminal.plural(number, "call")


def money(value: Decimal | None, unpriced: int = 0) -> str:
    """An amount; `+?` where calls without a price come on top, `?` where there are only such."""
    if value is None:
        return "?" if unpriced else "-"
    return terminal.money(float(value)) + ("+?" if unpriced else "")


def print_sums(
    out: Output, bill: Bill, by: tuple[str, ...], labels: list[str], estimate: Estimate | None
) -> None:
    """The sums of one grouping, the total, where prices came from, and what was wasted."""
    groups, total = bill.groups(by), bill.total()
    if out.csv:
        columns = (
            *by,
            "calls",
            "traces",
            "input_tokens",
            "output_tokens",
            *BUCKETS,
            "unpriced_calls",
            "cost_usd",
        )
        out.rows(columns, [_csv(group) for group in groups])
        return
    waste, per_query, wait = bill.waste(), bill.per_query(), bill.retry_wait()
    if out.json:
        out.terminal.json({
            "estimate": labels or None,
            "billed_cost_usd": number(bill.billed) if estimate is not None else number(total.cost_usd),
            "by": list(by),
            "groups": [dict(zip(by, group.key, strict=True)) | _group(group) for group in groups],
            "total": _group(total),
            "lower_bound": total.unpriced_calls > 0,
            "sources": [{**asdict(s), "cost_usd": number(s.cost_usd)} for s in bill.sources()],
            "per_query": None if per_query is None else _query(per_query),
            "waste": [{**asdict(w), "cost_usd": number(w.cost_usd)} for w in waste],
            "retries": {"calls": wait[0], "waited_ms": wait[1]},
        })  # fmt: skip
        return
    if not total.calls:
        sys.stderr.write("no calls match\n")
        return
    headings = [
        *(name.upper() for name in by),
        "CALLS",
        "IN",
        "CACHED",
        "WRITTEN",
        "OUT",
        "REASONING",
        "COST",
    ]
    out.table(headings, [_cells(group) for group in groups], len(by))
    _print_total(out, bill, total, labels, estimate)
    if "tag" in by:
        out.dim("a call with several tags stands under each of them; the total counts it once")
    _print_sources(out, bill, total)
    if per_query is not None:
        out.terminal.line(_query_line(per_query))
    _print_waste(out, waste, wait)


def _csv(group: Group) -> list[Any]:
    buckets = (getattr(group.buckets, name) for name in BUCKETS)
    return [
        *group.key, group.calls, group.traces, group.input_tokens, group.output_tokens, *buckets, group.unpriced_calls,
        group.cost_usd,
    ]  # fmt: skip


def _group(group: Group) -> dict[str, Any]:
    found = asdict(group)
    del found["key"]
    return {**found, "cost_usd": number(group.cost_usd)}


def _cells(group: Group) -> list[str]:
    buckets = group.buckets
    return [
        *(terminal.one_line(part, _CELL) if part is not None else "(none)" for part in group.key),
        terminal.count(group.calls), terminal.count(group.input_tokens),
        terminal.count(buckets.cache_read + buckets.audio_cache_read),
        terminal.count(buckets.cache_write + buckets.cache_write_1h), terminal.count(group.output_tokens),
        terminal.count(buckets.reasoning), money(group.cost_usd, group.unpriced_calls),
    ]  # fmt: skip


def _print_total(out: Output, bill: Bill, total: Group, labels: list[str], estimate: Estimate | None) -> None:
    words = f"{_calls(total.calls)}, {total.input_tokens:,} tokens in, {total.output_tokens:,} out"
    cost = money(total.cost_usd, total.unpriced_calls)
    if estimate is None:
        out.terminal.line(out.terminal.paint(f"total {cost}", "bold") + f"  {words}")
        return
    out.terminal.line(out.terminal.paint(f"estimate {cost}", "bold") + f"  {words}")
    change = (total.cost_usd or Decimal(0)) - bill.billed
    share = f" ({change / bill.billed:+.1%})" if bill.billed else ""
    sign = "-" if change < 0 else "+"
    out.terminal.line(
        f"an estimate: {terminal.one_line('; '.join(labels))}. As recorded: {money(bill.billed)}, "
        f"difference {sign}{terminal.money(abs(float(change)))}{share}"
    )


def _print_sources(out: Output, bill: Bill, total: Group) -> None:
    if total.unpriced_calls:
        tokens = total.input_tokens + total.output_tokens
        share = f", {total.unpriced_tokens / tokens:.1%} of the tokens" if tokens else ""
        out.terminal.line(
            f"lower bound: {terminal.plural(total.unpriced_calls, 'call has', 'calls have')} no price ({total.unpriced_tokens:,} tokens{share}); "
            "a prices.toml can give them one (spanreel cost --book FILE)"
        )
    parts = [
        f"{source.source} {_calls(source.calls)} {money(source.cost_usd)}"
        for source in bill.sources()
        if source.source != "unpriced"
    ]
    if parts:
        out.dim("prices: " + terminal.one_line("; ".join(parts)) + _age(parts))
    if total.marked_calls:
        out.terminal.line(
            f"{_calls(total.marked_calls)} told token counts that contradict each other (column usage_mark)"
        )


def _age(parts: list[str]) -> str:
    """How old the newest price change in the book is, where the book was asked."""
    from datetime import UTC, datetime

    from spanreel.analysis.price_book import book_date

    known = book_date()
    if known is None or not any(part.startswith("book:") for part in parts):
        return ""
    days = (datetime.now(tz=UTC).date() - known).days
    return f"; the book's newest price change is {terminal.plural(days, 'day')} old"


def _print_waste(out: Output, waste: list[Waste], wait: tuple[int, float]) -> None:
    for one in waste:
        tokens = f"{one.input_tokens:,} tokens in, {one.output_tokens:,} out, " if one.input_tokens else ""
        cost = "" if one.cost_usd is None else f"{money(one.cost_usd)}, "
        spent = terminal.duration(one.spent_ms)
        out.terminal.line(f"waste: {_calls(one.calls)} {_WASTE[one.reason]}: {tokens}{cost}{spent}")
    if wait[0]:
        out.terminal.line(f"waste: {_calls(wait[0])} waited {terminal.duration(wait[1])} between attempts")


def _query(found: PerQuery) -> dict[str, Any]:
    return {
        **{name: number(getattr(found, name)) for name in ("cost_usd", "mean", "p50", "p95", "p99", "max")},
        "queries": found.queries, "priced_queries": found.priced_queries, "unpriced_calls": found.unpriced_calls, "unpriced_queries": found.unpriced_queries,
        "dearest_trace": found.dearest,
    }  # fmt: skip


def _query_line(found: PerQuery) -> str:
    amounts = ", ".join(
        f"{name} {money(getattr(found, name))}" for name in ("mean", "p50", "p95", "p99", "max")
    )
    return f"per query ({terminal.plural(found.queries, 'trace')}): {amounts}" + (
        f"; {terminal.plural(found.unpriced_queries, 'of them has', 'of them have')} calls without a price"
        if found.unpriced_queries
        else ""
    )


def print_per_query(
    out: Output,
    whole: PerQuery | None,
    named: list[PerQuery],
    *,
    labels: list[str],
    target: Decimal | None,
    statistic: str,
) -> None:
    """What one request costs, and how that stands to a target."""
    value = None if whole is None else getattr(whole, statistic)
    above = None if target is None or value is None else value > target
    if out.csv:
        columns = ("name", "queries", "cost_usd", "mean", "p50", "p95", "p99", "max", "unpriced_queries")
        out.rows(columns, [[getattr(one, column) for column in columns] for one in named])
        return
    if out.json:
        out.terminal.json({
            "estimate": labels or None,
            "per_query": None if whole is None else _query(whole),
            "groups": [{"name": one.name, **_query(one)} for one in named],
            "target_usd": number(target), "statistic": statistic, "above": above,
            "lower_bound": whole is not None and whole.unpriced_calls > 0,
        })  # fmt: skip
        return
    if whole is None:
        sys.stderr.write("no calls match\n")
        return
    headings = ["NAME", "QUERIES", "MEAN", "P50", "P95", "P99", "MAX", "TOTAL"]
    out.table(headings, [_query_cells(one) for one in named], 1)
    out.terminal.line(_query_line(whole))
    if labels:
        out.terminal.line(f"an estimate: {terminal.one_line('; '.join(labels))}")
    out.dim(f"dearest: {whole.dearest}")
    if target is not None:
        words = (
            f"{statistic} {money(value)} is {'above' if above else 'not above'} the target {money(target)}"
        )
        if not above and whole.unpriced_calls:
            words += f", but {terminal.plural(whole.unpriced_calls, 'call has', 'calls have')} no price: it is a lower bound"
        out.terminal.line(out.terminal.paint(words, "red" if above else "green"))


def _query_cells(one: PerQuery) -> list[str]:
    least = one.unpriced_calls
    return [
        terminal.one_line(one.name, _CELL) if one.name is not None else "(none)", terminal.count(one.queries),
        *(money(getattr(one, name), least) for name in ("mean", "p50", "p95", "p99", "max")),
        money(one.cost_usd, least),
    ]  # fmt: skip


def print_latency(out: Output, by: tuple[str, ...], found: list[Latency]) -> None:
    """Percentiles of the calls that ended well."""
    if out.json:
        out.terminal.json([dict(zip(by, one.key, strict=True)) | _latency(one) for one in found])
        return
    if out.csv:
        rows = [[*one.key, *_flat(_latency(one)).values()] for one in found]
        out.rows([*by, *_flat(_latency(found[0]))] if found else by, rows)
        return
    if not found:
        sys.stderr.write("no calls match\n")
        return
    columns = [
        *(name.upper() for name in by), "CALLS", "P50", "P95", "P99", "TTFT P50", "P95 ", "VISIBLE P50", " P95", "TOK/S",
        "GAP P95", "RETRIED", "WAIT P50",
    ]  # fmt: skip
    out.table(columns, [_latency_cells(one) for one in found], len(by))
    out.dim(
        "TTFT: first token; VISIBLE: first token that is shown; TOK/S: after the first, median; GAP: median of the calls'\n"
        "95th percentile between tokens; WAIT: between the attempts of a call. Nearest ranks; calls that ended well."
    )


def _latency(one: Latency) -> dict[str, Any]:
    found = asdict(one)
    del found["key"]
    return found


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in found.items():
        flat |= (
            {f"{name}_{part}": cell for part, cell in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
    return flat


def _latency_cells(one: Latency) -> list[str]:
    def two(shares: Shares) -> tuple[str, str]:
        return terminal.duration(shares.p50), terminal.duration(shares.p95)

    rate = "-" if one.tokens_per_s_p50 is None else f"{one.tokens_per_s_p50:.0f}"
    return [
        *(terminal.one_line(part, _CELL) if part is not None else "(none)" for part in one.key),
        terminal.count(one.calls), *two(one.duration), terminal.duration(one.duration.p99), *two(one.ttft),
        *two(one.first_visible), rate, terminal.duration(one.inter_token_p95_p50), terminal.count(one.retried),
        terminal.duration(one.retry_wait.p50),
    ]  # fmt: skip


def print_cache(out: Output, found: CacheReport) -> None:
    """What caches could have served."""
    if out.json:
        out.terminal.json({
            **asdict(found), "estimate": ["what caches could have served"],
            "repeats_cost_usd": number(found.repeats_cost_usd), "missed_usd": number(found.missed_usd),
            "by_name": [
                {"name": name, "repeats": repeats, "repeats_cost_usd": number(cost), "missed_tokens": missed,
                 "missed_usd": number(lost)}
                for name, repeats, cost, missed, lost in found.by_name
            ],
        })  # fmt: skip
        return
    if out.csv:
        out.rows(("name", "repeats", "repeats_cost_usd", "missed_tokens", "missed_usd"), found.by_name)
        return
    rows = [
        [terminal.one_line(name, _CELL) if name is not None else "(none)", terminal.count(repeats), money(cost),
         terminal.count(missed), money(lost)]
        for name, repeats, cost, missed, lost in found.by_name
    ]  # fmt: skip
    if rows:
        out.table(("NAME", "REPEATS", "COST", "SHARED, NOT CACHED", "COST MORE"), rows, 1)
    out.terminal.line(
        f"exact repeats within {terminal.duration(found.ttl_s * 1000)}: {found.repeats:,} of {found.requests:,} requests, "
        f"{money(found.repeats_cost_usd, found.repeats_unpriced)}"
    )
    served = f"{found.cached_tokens / found.input_tokens:.0%}" if found.input_tokens else "none"
    out.terminal.line(
        f"provider's cache: served {found.cached_tokens:,} of {found.input_tokens:,} input tokens ({served}); "
        f"{found.missed_tokens:,} more stood in a beginning sent within five minutes before, worth {money(found.missed_usd)}"
    )
    out.dim("estimates: tokens of a shared beginning are its share of the prompt's characters")


def print_reconciled(out: Output, lines: list[Line], name: str) -> None:
    """An export against the recordings, figure by figure."""
    if out.json:
        out.terminal.json({
            "file": name, "same": sum(line.state == "same" for line in lines),
            "lines": [
                {"day": line.day, "model": line.model, "state": line.state, "unpriced_calls": line.unpriced_calls,
                 "figures": [_figure(figure) for figure in line.figures]}
                for line in lines
            ],
        })  # fmt: skip
        return
    rows = [
        [
            line.day,
            line.model,
            line.state,
            figure.name,
            *map(_plain, (figure.exported, figure.recorded, figure.difference)),
        ]
        for line in lines
        for figure in (line.figures if out.csv else line.differing)
    ]
    columns = ("day", "model", "state", "figure", "exported", "recorded", "difference")
    if out.csv:
        out.rows(columns, rows)
        return
    if rows:
        out.table([column.upper() for column in columns], [[str(cell) for cell in row] for row in rows], 4)
    same = sum(line.state == "same" for line in lines)
    out.terminal.line(
        f"{same:,} of {len(lines):,} lines (model and day) are the same in {terminal.one_line(name)}"
    )
    unpriced = sum(line.unpriced_calls for line in lines)
    if unpriced:
        out.terminal.line(
            f"{terminal.plural(unpriced, 'recorded call has', 'recorded calls have')} no price: recorded costs are lower bounds"
        )


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "name": figure.name, "exported": number(figure.exported), "recorded": number(figure.recorded),
        "difference": number(figure.difference),
    }  # fmt: skip
