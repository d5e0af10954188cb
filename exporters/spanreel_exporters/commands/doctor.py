"""`spanreel doctor`: what is well and what is wrong."""

from __future__ import annotations

import argparse
from dataclasses import asdict, is_dataclass
from typing import Any

from spanreel import terminal
from spanreel.command import EXIT_FAILED, Command, add_json, store_path

_MARKS = {"ok": ("ok", "green"), "info": ("-", "dim"), "warn": ("!", "yellow"), "error": ("X", "red")}


def _configure(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from spanreel_exporters.duckdb import doctor, stores

    store = store_path(arguments, must_exist=False)
    report = doctor.doctor(store)
    if store.is_dir():
        stores.register(store)
    out = terminal.Terminal()
    if arguments.json:
        out.json(
            {
                "store": report.store,
                "level": report.level,
                "checks": [asdict(check) for check in report.checks],
                "facts": {name: _plain(value) for name, value in report.facts.items()},
            }
        )
    else:
        for check in report.checks:
            mark, colour = _MARKS[check.level]
            out.line(f"{out.paint(f'{mark:>2}', colour)}  {check.name:<11} {terminal.one_line(check.text)}")
            if check.advice:
                out.line(out.paint(f"{'':<16}{terminal.one_line(check.advice)}", "dim"))
    return EXIT_FAILED if report.level == "error" else 0


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


COMMAND = Command(
    summary="say what is well, what is wrong, and what to do",
    description="Look at versions, store, disk, database, journal, keeper and losses. Exit code 1 when something is broken.",
    configure=_configure,
    run=_run,
)
