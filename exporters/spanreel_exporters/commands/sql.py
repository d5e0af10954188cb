"""`spanreel sql "..."`: SQL over the public views."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable
from typing import Any

from spanreel import terminal
from spanreel.command import Command, add_json, store_path
from spanreel_exporters.duckdb import user_sql

_CELL = 80


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "query", metavar="SQL", help="one statement that reads; - reads it from standard input"
    )
    parser.add_argument(
        "--format", choices=("table", "json", "csv"), default=None, help="how to print (default: table)"
    )
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    query = sys.stdin.read() if arguments.query == "-" else arguments.query
    rows = user_sql.sql(query, store=store_path(arguments))
    style = arguments.format or ("json" if arguments.json else "table")
    out = terminal.Terminal()
    if style == "json":
        out.json([dict(row) for row in rows])
    elif style == "csv":
        _write_csv(rows)
    else:
        _write_table(out, rows)
    for notice in rows.notices:
        sys.stderr.write(f"note: {terminal.one_line(notice)}\n")
    if rows.truncated:
        sys.stderr.write(f"note: only the first {len(rows):,} rows are shown\n")
    return 0


def _write_csv(rows: user_sql.Rows) -> None:
    """Exact where it goes to a file or program; on a terminal control characters are made visible."""
    shown = terminal.one_line if sys.stdout.isatty() else str
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(map(shown, rows.columns))
    for row in rows:
        writer.writerow(["" if value is None else shown(value) for value in row.values()])


def _write_table(out: terminal.Terminal, rows: user_sql.Rows) -> None:
    numeric = [name for name in rows.columns if _is_numeric(row[name] for row in rows)]
    out.table(rows.columns, ([_cell(value) for value in row.values()] for row in rows), right=numeric)
    out.line(out.paint(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}", "dim"))


def _is_numeric(values: Iterable[Any]) -> bool:
    present = [value for value in values if value is not None]
    return bool(present) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in present
    )


def _cell(value: object) -> str:
    return "NULL" if value is None else terminal.one_line(value, _CELL)


COMMAND = Command(
    summary="query the recordings with SQL",
    description="Run one reading SQL statement (DuckDB) over the views spans, traces, documents, flags, scores, losses.\n"
    "Files, settings and writes are out of its reach; it is stopped after 10 s.",
    configure=_configure,
    run=_run,
    examples=(
        'spanreel sql "select request_model, sum(cost_usd) from spans group by all"',
        "spanreel sql \"select attributes->>'http.route' as route, count(*) from spans group by 1\" --format csv",
    ),
)
