"""What a decorated call costs where it is not recorded, over the bare call."""

from __future__ import annotations

import statistics
import sys
from time import perf_counter_ns

from bench import child
from bench.calls import FIXED
from bench.report import Measured, Plan

MUST, AIM = 1.5, 0.5
"""Microseconds."""
CALLS = 5_000
RARE = "0.000001"
"""A share of traces so small that every root is drawn and left out."""


def _bare(a: object, b: object) -> object:
    del b
    return a


def main(how: str, store: str, rounds: str) -> None:
    """Time the decorated and the bare function in alternating rounds; answer the difference in us."""
    import spanreel

    if how != "disabled":
        spanreel.configure(store=store, keeper="off", sample_rate=float(how.partition("/")[0]))
    traced = spanreel.trace(_bare)
    argument = FIXED if how.endswith("payload") else 1
    differences = []
    for _ in range(int(rounds)):
        times = []
        for function in (_bare, traced):
            began = perf_counter_ns()
            for _ in range(CALLS):
                function(argument, "x")
            times.append((perf_counter_ns() - began) / CALLS / 1e3)
        differences.append(times[1] - times[0])
    child.answer(statistics.median(differences))


def off(plan: Plan) -> Measured:
    """SPANREEL_DISABLED=1, and sampled out: all, or all but one in a million (each root is drawn)."""
    rounds = plan.pick(30, 5)
    found: dict[str, float] = {}
    ways = {
        "disabled": "disabled", "rate 0": "0.0", "drawn": RARE, "drawn, 12 kB argument": f"{RARE}/payload"
    }  # fmt: skip
    with child.scratch(plan.scratch, "off") as folder:
        for number, (label, how) in enumerate(ways.items()):
            extra = {"SPANREEL_DISABLED": "1"} if how == "disabled" else {}
            found[label] = child.run("off", how, folder / f"store{number}", rounds, extra=extra)
    worst = max(found.values())
    text = ", ".join(f"{label} {value:.2f}" for label, value in found.items())
    return Measured(f"{text} us", worst <= MUST, f"{len(found)} x {rounds} x {CALLS} calls", worst <= AIM)


if __name__ == "__main__":
    main(*sys.argv[1:])
