"""`spanreel list`: the newest traces of a store."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict

from spanreel import terminal
from spanreel.command import Command, UsageError, add_json, store_path
from spanreel_exporters.commands import quantities
from spanreel_exporters.duckdb.results import TraceRow

COLUMNS = (
    "STARTED",
    "TRACE",
    "NAME",
    "STATUS",
    "TIME",
    "SPANS",
    "CALLS",
    "IN",
    "OUT",
    "COST",
    "ASKED / WHAT IS WRONG",
)
_RIGHT = ("TIME", "SPANS", "CALLS", "IN", "OUT", "COST")
_LEAST = {"NAME": 14, "ASKED / WHAT IS WRONG": 14}
_DROP = ("SPANS", "CALLS", "OUT", "IN", "STARTED")
_NAME_WIDTH = 28
_MOST = 10**9


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", nargs="?", metavar="TEXT", help="only traces in which this text stands")
    parser.add_argument("-n", "--limit", type=_count, default=20, metavar="N", help="how many (default: 20)")
    parser.add_argument("--errors", action="store_true", help="only traces with an error")
    parser.add_argument("--name", metavar="NAME", help="only traces of this name")
    parser.add_argument(
        "--kind", metavar="KIND", help="only traces with a span of this kind: llm, retrieval, tool, ..."
    )
    parser.add_argument("--model", metavar="MODEL", help="only traces that called this model")
    parser.add_argument("--session", metavar="S", help="only traces of this session")
    parser.add_argument("--user", metavar="U", help="only traces of this user")
    parser.add_argument(
        "--since",
        type=quantities.age,
        metavar="AGE",
        help="only traces that started within this: 30m, 12h, 7d",
    )
    add_json(parser)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"how many is a number from 1, not {text!r}")
    return min(int(text), _MOST)


def _run(arguments: argparse.Namespace) -> int:
    from spanreel.analysis.record import KINDS
    from spanreel.command import nearest
    from spanreel_exporters.duckdb import stores
    from spanreel_exporters.duckdb.reader import DuckReader

    if arguments.kind is not None and arguments.kind not in KINDS:
        raise UsageError(
            f"no kind {arguments.kind!r}{nearest(arguments.kind, KINDS)} (kinds: {', '.join(KINDS)})"
        )
    since = None if arguments.since is None else time.time_ns() - round(arguments.since * 1e9)
    store = store_path(arguments)
    stores.register(store)
    with DuckReader(store) as reader:
        page = reader.traces(
            text=arguments.text,
            errors=True if arguments.errors else None,
            name=arguments.name,
            kind=arguments.kind,
            model=arguments.model,
            session=arguments.session,
            user=arguments.user,
            since_ns=since,
            limit=arguments.limit,
        )
        notices = list(reader.notices)
    out = terminal.Terminal()
    if arguments.json:
        out.json([asdict(row) for row in page.rows])
    elif page.rows:
        out.table(COLUMNS, [_cells(row) for row in page.rows], right=_RIGHT, least=_LEAST, drop=_DROP)
        if page.total > len(page.rows):
            out.line(out.paint(f"{page.total - len(page.rows):,} more; -n {page.total} shows all", "dim"))
    else:
        sys.stderr.write("no traces match\n" if _filtered(arguments) else "no traces yet\n")
    for notice in notices:
        sys.stderr.write(f"note: {terminal.one_line(notice)}\n")
    return 0


def _filtered(arguments: argparse.Namespace) -> bool:
    names = ("text", "errors", "name", "kind", "model", "session", "user", "since")
    return any(getattr(arguments, name) for name in names)


def _cells(row: TraceRow) -> tuple[str, ...]:
    return (
        time.strftime("%m-%d %H:%M:%S", time.localtime(row.start_ns / 1e9)),
        row.trace_id[:12],
        terminal.one_line(row.name, _NAME_WIDTH),
        _status(row),
        how_long(row),
        terminal.count(row.span_count),
        terminal.count(row.llm_calls),
        terminal.count(row.input_tokens),
        terminal.count(row.output_tokens),
        _cost(row),
        terminal.one_line(_about(row), 60),
    )


def how_long(row: TraceRow) -> str:
    """The duration; of an interrupted trace the least it took, for its end was not seen."""
    least = ">" if row.state == "interrupted" and row.duration_ms else ""
    return least + terminal.duration(row.duration_ms)


def _status(row: TraceRow) -> str:
    """How it went; errors that the program got over are counted behind `ok`."""
    if row.state != "ended":
        return row.state
    inner = row.error_count if row.status != "error" else 0
    return f"{row.status} ({inner} err)" if inner else row.status


def _cost(row: TraceRow) -> str:
    if not row.unpriced_calls:
        return terminal.money(row.cost_usd)
    return "?" if row.cost_usd is None else terminal.money(row.cost_usd) + "+?"


def _about(row: TraceRow) -> str:
    if row.error_type and row.status == "error":
        return f"{row.error_type}: {row.error_message or ''}".rstrip(": ")
    return row.input_preview or ""


COMMAND = Command(
    summary="list the newest traces",
    description="List traces, the newest first. `?` in a cost: calls whose price is not known.",
    configure=_configure,
    run=_run,
    examples=("spanreel list --errors --since 1d", "spanreel list refund -n 5", "spanreel list --json"),
)
