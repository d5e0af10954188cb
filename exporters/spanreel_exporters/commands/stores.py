"""`spanreel stores`: which stores there are on this machine."""

from __future__ import annotations

import argparse
import time
from typing import Any

from spanreel import terminal
from spanreel.command import Command, add_json, store_path
from spanreel_exporters.duckdb import stores


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--forget-missing", action="store_true", help="take stores that no longer exist off the list"
    )
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.forget_missing:
        stores.forget_missing()
    here = store_path(arguments, must_exist=False)
    if here.is_dir():
        stores.register(here)
    found = stores.known()
    out = terminal.Terminal()
    if arguments.json:
        out.json([_as_json(entry) for entry in found])
        return 0
    if not found:
        out.line("no stores yet: run a program that uses @spanreel.trace, or `spanreel demo`")
        return 0
    rows = [
        (
            "*" if entry.path == here else "",
            str(entry.path),
            terminal.size(entry.database_bytes + entry.journal_bytes) if entry.exists else "missing",
            time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.last_seen_ns / 1e9)),
        )
        for entry in found
    ]
    out.table(("", "STORE", "SIZE", "LAST USED"), rows, right=("SIZE",))
    return 0


def _as_json(entry: stores.StoreEntry) -> dict[str, Any]:
    return {
        "path": str(entry.path),
        "exists": entry.exists,
        "last_seen_ns": entry.last_seen_ns,
        "database_bytes": entry.database_bytes,
        "journal_bytes": entry.journal_bytes,
    }


COMMAND = Command(
    summary="list the stores on this machine",
    description="List the stores that have been used on this machine; * marks the one used here.",
    configure=_configure,
    run=_run,
)
