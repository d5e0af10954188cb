"""`spanreel forget`: erase recordings from every file of the store."""

from __future__ import annotations

import argparse
import json
from contextlib import AbstractContextManager, nullcontext
from io import StringIO
from pathlib import Path
from typing import TextIO

from spanreel import terminal
from spanreel.command import Command, UsageError, add_json, store_path
from spanreel.errors import SpanreelError


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "trace",
        nargs="?",
        metavar="TRACE",
        help="a trace: its id or the beginning of it, last, last~1, last:NAME",
    )
    parser.add_argument("--session", metavar="S", help="every trace of this session")
    parser.add_argument("--user", metavar="U", help="every trace of this user")
    parser.add_argument(
        "--text",
        metavar="TEXT",
        help="every trace in which this text stands anywhere (upper and lower case count)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be erased, change nothing")
    parser.add_argument("--receipt", metavar="FILE", type=Path, help="write the receipt (JSON) here as well")
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from spanreel_exporters.duckdb import compaction, erasure

    given = {
        kind: value
        for kind in ("trace", "session", "user", "text")
        if (value := getattr(arguments, kind)) is not None
    }
    if len(given) != 1:
        raise UsageError("forget needs one of TRACE, --session S, --user U, --text TEXT")
    kind, value = next(iter(given.items()))
    if not value.strip():
        raise UsageError(f"forget needs a {kind}, not an empty one")
    store = store_path(arguments)
    if kind == "trace":
        value = _trace_id(store, value)
    cut_off = (store / compaction.PENDING).exists()
    with _receipt_file(arguments.receipt) as file:
        receipt = erasure.forget(store, erasure.Selector(kind, value), dry_run=arguments.dry_run)
        text = json.dumps(receipt.as_json(), indent=2, default=str)
        file.write(text + "\n")
    if kind == "trace" and not receipt.traces and not cut_off:
        raise SpanreelError(f"there is no trace {value} in {store}; nothing was erased")
    out = terminal.Terminal()
    if arguments.json:
        out.line(text)
        return 0
    verb = "would erase" if receipt.dry_run else "erased"
    out.line(
        f"{verb} {len(receipt.traces)} traces: {', '.join(trace[:12] for trace in receipt.traces[:8]) or 'none match'}{' ...' if len(receipt.traces) > 8 else ''}"
    )
    for place, number in receipt.erased.items():
        if number:
            out.line(f"  {place:<16} {number:,}")
    for note in receipt.notes:
        out.line(f"note: {note}")
    if not receipt.dry_run and receipt.traces:
        out.line("receipt: " + json.dumps(receipt.as_json(), default=str))
    return 0


def _receipt_file(path: Path | None) -> AbstractContextManager[TextIO]:
    """Open the receipt's file before anything is erased: there is no second receipt. Raises SpanreelError."""
    try:
        return nullcontext(StringIO()) if path is None else path.open("w", encoding="utf-8")
    except OSError as error:
        raise SpanreelError(
            f"nothing was erased: the receipt {path} cannot be written: {error.strerror or error}"
        ) from error


def _trace_id(store: Path, word: str) -> str:
    from spanreel_exporters.commands.naming import trace_id

    return trace_id(store, word)


COMMAND = Command(
    summary="erase traces from every file of the store, with a receipt",
    description="Erase traces: rows, bodies, provider bytes, documents, flags, scores and journal; the database\n"
    "file is rewritten, and late records of the same traces are refused.",
    configure=_configure,
    run=_run,
    examples=("spanreel forget last --dry-run", "spanreel forget --user u-42 --receipt receipt.json"),
)
