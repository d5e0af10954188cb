"""`spanreel compact`: give unused room in the database file back to the disk."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from spanreel import terminal
from spanreel.command import Command, add_json, store_path


def _configure(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from spanreel_exporters.duckdb import compaction

    outcome = compaction.compact(store_path(arguments))
    out = terminal.Terminal()
    if arguments.json:
        out.json(asdict(outcome))
        return 0
    out.line(
        f"database: {terminal.size(outcome.bytes_before)} -> {terminal.size(outcome.bytes_after)} "
        f"({outcome.rows:,} rows copied and counted, {outcome.seconds:.1f} s)"
    )
    return 0


COMMAND = Command(
    summary="rewrite the database without its unused room",
    description="Copy the database into a new file, check the row counts, and put it in the place of the old one.",
    configure=_configure,
    run=_run,
)
