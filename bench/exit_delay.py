"""How much later a program ends because it was recorded, with everything around it in order or broken."""

from __future__ import annotations

import fcntl
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import child
from bench.report import Measured, Plan

MUST_MS = 50.0
_PROGRAM = """
import sys, time
{before}
import spanreel
@spanreel.trace
def f(a):
    return a
for i in range(100):
    f(i)
{after}
sys.stdout.write(str(time.monotonic()))
sys.stdout.flush()
"""
_BREAK_PYTHON = "sys.executable = '/nonexistent/python3'"
_DELETE_STORE = "import os, shutil; shutil.rmtree(os.environ['SPANREEL_STORE'])"


def _locked(*names: str) -> Callable[[Path], Iterator[None]]:
    """Make a store whose locks are held by somebody who never lets go."""

    def hold(store: Path) -> Iterator[None]:
        (store / "journal").mkdir(parents=True)
        handles = [os.open(store / name, os.O_RDWR | os.O_CREAT, 0o600) for name in names]
        for handle in handles:
            fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            for handle in handles:
                os.close(handle)

    return hold


def _file(store: Path) -> Iterator[None]:
    store.write_text("not a store", encoding="utf-8")
    yield


def _nothing(store: Path) -> Iterator[None]:
    del store
    yield


WAYS: dict[str, tuple[dict[str, str], str, str, Callable[[Path], Iterator[None]]]] = {
    "in order": ({"SPANREEL_KEEPER": "on"}, "", "", _nothing),
    "no keeper wanted": ({"SPANREEL_KEEPER": "off"}, "", "", _nothing),
    "keeper cannot start": ({"SPANREEL_KEEPER": "on"}, _BREAK_PYTHON, "", _nothing),
    "keeper hangs": ({"SPANREEL_KEEPER": "on"}, "", "", _locked("keeper.lock", "ingest.lock", "gate.lock")),
    "store is a file": ({"SPANREEL_KEEPER": "on"}, "", "", _file),
    "store deleted": ({"SPANREEL_KEEPER": "on"}, "", _DELETE_STORE, _nothing),
}


def _exit_ms(store: Path, extra: dict[str, str], before: str = "", after: str = "") -> float:
    """Return the ms from the program's last line to its end."""
    code = _PROGRAM.format(before=before, after=after)
    done = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=child.ROOT,
        env=child.environment({"SPANREEL_STORE": str(store)} | extra),
    )  # fmt: skip
    done.wait(timeout=60)
    ended = time.monotonic()
    out, err = done.communicate()
    if err or done.returncode:
        raise child.ChildError(f"the program was disturbed: {err.strip()[-300:]}")
    return (ended - float(out)) * 1e3


@contextmanager
def _prepared(make: Callable[[Path], Iterator[None]], store: Path) -> Iterator[None]:
    yield from make(store)


def exit_delay(plan: Plan) -> Measured:
    """Interleaved with the same program under SPANREEL_DISABLED=1; median of the differences."""
    rounds = plan.pick(11, 2)
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    with child.scratch(plan.scratch, "exit") as folder:
        for number in range(rounds):
            for way, (extra, before, after, make) in WAYS.items():
                bare = _exit_ms(folder / "none", {"SPANREEL_DISABLED": "1"})
                store = folder / f"{way.replace(' ', '-')}-{number}"
                with _prepared(make, store):
                    found[way].append(_exit_ms(store, extra, before, after) - bare)
    medians = {way: statistics.median(values) for way, values in found.items()}
    worst = max(medians, key=lambda way: medians[way])
    return Measured(
        f"+{medians[worst]:.0f} ms ({worst})",
        medians[worst] <= MUST_MS,
        f"{rounds} x {len(WAYS)} programs",
        None,
        (", ".join(f"{way} {value:+.0f} ms (max {max(found[way]):+.0f})" for way, value in medians.items()),),
    )
