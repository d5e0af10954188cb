"""What a decorated call costs the program, beside raw OpenTelemetry, alone and beside a busy thread.

Both sides run in one process, in alternating rounds; the figure is the median of the rounds' ratios. Texts
are made before a round is timed, and every call gets a text of its own.
"""

from __future__ import annotations

import gc
import statistics
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from bench import child
from bench.contestants import Baseline, Function, Ours
from bench.corpus import Text, cached
from bench.report import Measured, Plan, quantile, ratio

MUST = 0.60
AIM, AIM_PAYLOAD = 0.35, 0.40
MESSAGES, MESSAGE, ANSWER = 8, 1_500, 2_000
_PARAGRAPH = (
    "The quick brown fox jumps over the lazy dog, then writes a long and realistic paragraph of prose. "
)
FIXED = [
    {"role": "user" if i % 2 else "assistant", "content": (_PARAGRAPH * 20)[:MESSAGE]}
    for i in range(MESSAGES)
]
FIXED_ANSWER = {"role": "assistant", "content": (_PARAGRAPH * 30)[:ANSWER]}


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of call: the function, and what makes the argument tuples of a round."""

    function: Function
    inputs: Callable[[int], list[tuple[Any, ...]]]
    calls: int
    """Calls of one round."""


def _noop() -> Load:
    def noop(a: object, b: object) -> object:
        del b
        return a

    return Load(noop, lambda count: [(i, "x") for i in range(count)], 2_000)


def _fixed() -> Load:
    def llm(messages: object) -> object:
        del messages
        return FIXED_ANSWER

    return Load(llm, lambda count: [(FIXED,)] * count, 300)


def _natural(corpus: str) -> Load:
    text = Text(corpus)
    answers: Iterator[object] = iter(())

    def llm(messages: object) -> object:
        del messages
        return next(answers)

    def inputs(count: int) -> list[tuple[Any, ...]]:
        nonlocal answers
        answers = iter([{"role": "assistant", "content": text.take(ANSWER)} for _ in range(count)])
        return [(text.messages(MESSAGES, MESSAGE),) for _ in range(count)]

    return Load(llm, inputs, 300)


def _round(function: Function, inputs: list[tuple[Any, ...]]) -> list[int]:
    """Time every call, in ns."""
    times: list[int] = []
    note = times.append
    gc.collect()
    for arguments in inputs:
        began = perf_counter_ns()
        function(*arguments)
        note(perf_counter_ns() - began)
    return times


def compare(load: Load, store: Path, rounds: int) -> dict[str, Any]:
    """Run alternating rounds; return us per call of both sides and the ratios of mean and p99."""
    sides = (Baseline(), Ours(store))
    functions = [side.decorate(load.function) for side in sides]
    found: list[list[list[float]]] = [[], []]
    for number in range(rounds + 1):  # the first warms up
        for side in (0, 1) if number % 2 else (1, 0):
            times = _round(functions[side], load.inputs(load.calls if number else load.calls // 5))
            sides[side].settle()
            if number:
                found[side].append([statistics.fmean(times), quantile(times, 0.99)])  # type: ignore[arg-type]
    means, tails = ([ours[i] / base[i] for base, ours in zip(*found, strict=True)] for i in (0, 1))
    return {
        "mean": statistics.median(means), "p99": statistics.median(tails), "n": rounds * load.calls,
        "us": [[statistics.median(r[i] for r in side) / 1e3 for i in (0, 1)] for side in found],
    }  # fmt: skip


@contextmanager
def busy_thread() -> Iterator[None]:
    """Keep one CPU-bound Python thread running."""
    stop = threading.Event()

    def spin() -> None:
        x = 1
        while not stop.is_set():
            for _ in range(1_000):
                x = (x * 31 + 7) % 1_000_003

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def main(name: str, corpus: str, store: str, rounds: str, busy: str) -> None:
    """Measure one load, in a process of its own."""
    load = _natural(corpus) if name == "natural" else _fixed() if name == "fixed" else _noop()
    if busy == "busy":
        load = Load(load.function, load.inputs, load.calls * (3 if name == "noop" else 4))
        with busy_thread():
            child.answer(compare(load, Path(store), int(rounds)))
    else:
        child.answer(compare(load, Path(store), int(rounds)))


def _ask(plan: Plan, name: str, rounds: int, busy: str = "") -> dict[str, Any]:
    corpus = cached(plan.scratch)
    with child.scratch(plan.scratch, "calls") as folder:
        found: dict[str, Any] = child.run("calls", name, corpus, folder / "store", rounds, busy)
        return found


def _us(found: dict[str, Any], which: int = 0) -> str:
    base, ours = found["us"]
    return f"{ours[which]:.1f} us, baseline {base[which]:.1f}"


def noop(plan: Plan) -> Measured:
    """No-op call with captured arguments and result."""
    found = _ask(plan, "noop", plan.pick(40, 6))
    value = found["mean"]
    return Measured(
        f"{ratio(value)} ({_us(found)}; p99 {ratio(found['p99'])})",
        value <= MUST,
        f"{found['n']} calls",
        value <= AIM,
    )


def payload(plan: Plan) -> Measured:
    """8 messages of 1.5 kB in, 2 kB out: natural text, and the peers' fixed text."""
    natural, fixed = (_ask(plan, name, plan.pick(40, 4)) for name in ("natural", "fixed"))
    worst = max(natural["mean"], fixed["mean"])
    return Measured(
        f"natural {ratio(natural['mean'])} ({_us(natural)}), fixed {ratio(fixed['mean'])} ({_us(fixed)})",
        worst <= MUST,
        f"2 x {natural['n']} calls",
        worst <= AIM_PAYLOAD,
        (f"p99: natural {ratio(natural['p99'])}, fixed {ratio(fixed['p99'])}",),
    )


_LOADS = {"noop": "no-op", "fixed": "payload that repeats", "natural": "payload new in every call"}


def contended(plan: Plan) -> Measured:
    """All loads beside one CPU-bound Python thread, mean and p99."""
    loads = {name: _ask(plan, name, plan.pick(16, 3), "busy") for name in _LOADS}
    values = [loads[name][which] for name in loads for which in ("mean", "p99")]
    text = "; ".join(
        f"{_LOADS[name]} mean {ratio(found['mean'])}, p99 {ratio(found['p99'])}"
        for name, found in loads.items()
    )
    notes = tuple(f"{_LOADS[name]}: mean {_us(found)}; p99 {_us(found, 1)}" for name, found in loads.items())
    count = " + ".join(str(found["n"]) for found in loads.values())
    return Measured(text, max(values) <= MUST, f"{count} calls", max(values) <= AIM, notes)


if __name__ == "__main__":
    main(*sys.argv[1:])
