"""`spanreel import FILE...`: take spans of other instrumentations in, from OTLP files."""

from __future__ import annotations

import argparse
import sys

from spanreel import terminal
from spanreel.command import EXIT_FAILED, Command, add_json, store_path


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="an OTLP file, a directory of them, a pattern, or - for standard input",
    )
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from spanreel.config import from_environment
    from spanreel_exporters.otlp.importing import import_files

    store = store_path(arguments, must_exist=False)
    outcome = import_files(store, arguments.files, from_environment(), told=_tell)
    out = terminal.Terminal()
    if arguments.json:
        troubles = [
            {"file": found.file, "offset": found.offset, "reason": found.reason} for found in outcome.troubles
        ]
        out.json({"files": outcome.files, **outcome.counts, "troubles": troubles})
    elif not outcome.troubles or any(outcome.counts.values()):
        _report(out, outcome.counts, outcome.files)
    return EXIT_FAILED if outcome.troubles else 0


def _tell(trouble: object) -> None:
    sys.stderr.write(f"spanreel: {terminal.one_line(trouble)}\n")


def _report(out: terminal.Terminal, counts: dict[str, int], files: int) -> None:
    out.line(
        f"{files:,} file{'' if files == 1 else 's'}: {counts['spans_new']:,} spans new, {counts['spans_known']:,} already there"
    )
    if counts["logs_new"] or counts["logs_known"]:
        out.line(f"{counts['logs_new']:,} content log records joined, {counts['logs_known']:,} already there")
    if counts["scores"]:
        out.line(f"{counts['scores']:,} evaluations")
    if counts["ignored"]:
        out.line(
            f"{counts['ignored']:,} other records left out: metrics, logs of no model call, placeholders, spans without ids"
        )


COMMAND = Command(
    summary="take in spans of other tools from OTLP files",
    description="Read OTLP traces and logs (JSON or protobuf; gzip or zstd; one message, an array, lines, or what the\n"
    "Collector's file exporter writes) and normalise whatever convention they speak: OpenTelemetry GenAI,\n"
    "OpenInference, OpenLLMetry, Vercel AI SDK, Langfuse, LangSmith, MLflow and others. Raw attributes are kept,\n"
    "importing twice changes nothing. A file that cannot be read to its end is named; the rest is imported.",
    configure=_configure,
    run=_run,
    examples=(
        "spanreel import traces.json",
        "zcat spans.jsonl.gz | spanreel import -",
        "spanreel import exported/",
    ),
)
