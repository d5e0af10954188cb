"""`spanreel prune`: make room by age or by size."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from spanreel import terminal
from spanreel.command import Command, UsageError, add_json, store_path
from spanreel_exporters.commands import quantities


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--older-than",
        type=quantities.age,
        metavar="AGE",
        help="drop traces that ended longer ago than this: 12h, 30d, 4w",
    )
    parser.add_argument(
        "--max-size",
        type=quantities.size,
        metavar="SIZE",
        help="drop the oldest bodies, then the oldest traces, until the database fits: 2GB",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be dropped, change nothing")
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from spanreel_exporters.duckdb import retention

    if arguments.older_than is None and arguments.max_size is None:
        raise UsageError(
            "prune needs --older-than AGE or --max-size SIZE, such as: spanreel prune --older-than 30d"
        )
    outcome = retention.prune(
        store_path(arguments),
        older_than_s=arguments.older_than,
        max_bytes=arguments.max_size,
        dry_run=arguments.dry_run,
    )
    out = terminal.Terminal()
    if arguments.json:
        out.json(asdict(outcome))
        return 0
    verb = "would drop" if outcome.dry_run else "dropped"
    out.line(
        f"{verb} {outcome.traces:,} traces ({outcome.spans:,} spans) and the bodies of {outcome.bodies:,} further spans"
    )
    if not outcome.dry_run:
        out.line(f"database: {terminal.size(outcome.bytes_before)} -> {terminal.size(outcome.bytes_after)}")
    if outcome.note:
        out.line(outcome.note)
    return 0


COMMAND = Command(
    summary="drop what is old or too much",
    description="Drop traces by age, or the oldest bodies and then the oldest traces until the database fits.",
    configure=_configure,
    run=_run,
    examples=("spanreel prune --older-than 30d", "spanreel prune --max-size 2GB --dry-run"),
)
