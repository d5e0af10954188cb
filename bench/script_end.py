"""A plain script ends: when are its spans in `traces.duckdb`, for any DuckDB client?"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from bench import child
from bench.report import Measured, Plan

MUST_S = 3.0
SPANS = 50
_PROGRAM = f"""
from spanreel import trace
@trace
def f(a):
    return a
for i in range({SPANS}):
    f(i)
"""


def _count(database: Path) -> int:
    """Return the ended spans that a plain client sees; 0 while there is no file or it is being written."""
    import duckdb

    if database.exists():
        with suppress(duckdb.Error), duckdb.connect(str(database), read_only=True) as con:
            row = con.execute("SELECT count(*) FROM spans WHERE state = 'ended'").fetchone()
            return int(row[0]) if row else 0
    return 0


def script_end(plan: Plan) -> Measured:
    """SPANREEL_KEEPER=on; nobody reads through spanreel. The slowest of the rounds counts."""
    from spanreel import keeper_rules

    rounds = plan.pick(5, 1)
    taken = []
    reason = ""
    for _ in range(rounds):
        with child.scratch(plan.scratch, "script") as folder:
            store = folder / "store"
            extra = {"SPANREEL_STORE": str(store), "SPANREEL_KEEPER": "on"}
            subprocess.run(
                [sys.executable, "-c", _PROGRAM], env=child.environment(extra), cwd=child.ROOT, check=True
            )
            ended = time.monotonic()
            reason = keeper_rules.decide(store, "on", child.environment(extra)).reason
            while _count(store / "traces.duckdb") < SPANS and time.monotonic() - ended < 15:
                time.sleep(0.05)
            taken.append(time.monotonic() - ended)
    notes = () if reason == "ok" else (f"no process may outlive its parent here ({reason})",)
    return Measured(f"{max(taken):.2f} s", max(taken) <= MUST_S, f"{rounds} scripts", None, notes)
