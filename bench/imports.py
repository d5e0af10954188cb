"""What importing spanreel costs, beside the OpenTelemetry SDK; each import in a fresh interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

from bench import child
from bench.report import Measured, Plan, ratio

MUST_IMPORT, MUST_TRACE, AIM = 1.25, 1.6, 1.0
_SDK = "import opentelemetry.sdk.trace"
_IMPORT = "import spanreel"
_TRACE = "from spanreel import trace\n@trace\ndef f(a):\n    return a"
_CALL = _TRACE + "\nf(1)"


def _time(code: str, store: Path) -> float:
    """Return the milliseconds that `code` takes in an interpreter that has imported nothing else."""
    program = f"import time\nt = time.perf_counter()\n{code}\nprint(time.perf_counter() - t)"
    done = subprocess.run(
        [sys.executable, "-c", program], env=child.environment({"SPANREEL_STORE": str(store)}),
        capture_output=True, text=True, check=True, cwd=child.ROOT,
    )  # fmt: skip
    return float(done.stdout.split()[-1]) * 1e3


def imports(plan: Plan) -> Measured:
    """Ratios of wall time, interleaved, median of the rounds."""
    rounds = plan.pick(21, 3)
    codes = {"sdk": _SDK, "import": _IMPORT, "trace": _TRACE, "call": _CALL}
    times: dict[str, list[float]] = {name: [] for name in codes}
    with child.scratch(plan.scratch, "imports") as folder:
        for number in range(-1, rounds):  # the first compiles
            for name, code in codes.items():
                taken = _time(code, folder / "store")
                if number >= 0:
                    times[name].append(taken)

    def over(name: str) -> float:
        return statistics.median(a / b for a, b in zip(times[name], times["sdk"], strict=True))

    ms = {name: statistics.median(values) for name, values in times.items()}
    values = over("import"), over("trace")
    return Measured(
        f"import {ratio(values[0])} ({ms['import']:.0f} ms / {ms['sdk']:.0f} ms); with one @trace {ratio(values[1])}",
        values[0] <= MUST_IMPORT and values[1] <= MUST_TRACE,
        f"{rounds} rounds",
        max(values) <= AIM,
        (
            f"with the first call (store, journal, wire hooks made): {ratio(over('call'))}, {ms['call']:.0f} ms",
        ),
    )
