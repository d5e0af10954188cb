"""`python -m bench [ROW ...] [--quick]`: measure, and print the table row by row."""

from __future__ import annotations

import argparse
import difflib
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import child
from bench.report import Measured, Plan, Row, Table
from bench.table import ROWS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "rows",
        nargs="*",
        metavar="ROW",
        help=f"rows to measure (default: all): {', '.join(r.key for r in ROWS)}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="few rounds and small stores: a look, not a measurement"
    )
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument(
        "--scratch",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="where stores are made (a real disk)",
    )
    parser.add_argument("--strict", action="store_true", help="exit code 1 if a row is not reached")
    return parser


def _chosen(names: Sequence[str]) -> list[Row]:
    """Return the rows by name, in the table's order. Raises SystemExit for a name that is none."""
    known = {row.key: row for row in ROWS}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise SystemExit(
                f"there is no row {name!r}{f'; did you mean {near[0]!r}?' if near else ''} ({', '.join(known)})"
            )
    return [row for row in ROWS if not names or row.key in names]


def _measure(row: Row, plan: Plan) -> Measured:
    try:
        return row.measure(plan)
    except Exception as error:
        return Measured(
            f"failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}", reached=False, n="0"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the rows that are asked for; return the exit code."""
    options = _parser().parse_args(argv)
    rows = _chosen(options.rows)
    table = Table()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0]
    print(
        f"spanreel bench{' (quick: no measurement)' if options.quick else ''}: Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {cores} cores, load {load:.1f}"
    )
    if load > 1:
        print("Other programs are running: ratios hold, times and rates are worse than they would be.")
    print()
    table.head()
    with child.scratch(options.scratch, "spanreel-bench") as folder:
        plan = Plan(options.quick, folder)
        for row in rows:
            began = time.monotonic()
            table.add(row, _measure(row, plan), time.monotonic() - began)
    if options.json:
        table.save(options.json)
    print(f"\n{len(rows) - table.missed} of {len(rows)} rows reached.")
    return 1 if options.strict and table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
