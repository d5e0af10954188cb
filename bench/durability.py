"""Spans that had ended before a process died, in every way a process dies: all of them read back, none twice.

A victim writes the name of each span to a file of its own right after the traced call has returned; what is in
that file when the process is dead must be in the store, read by the store's own reader after catching up.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import child
from bench.report import Measured, Plan

WAYS = ("SIGKILL", "SIGTERM", "os._exit", "exception", "fork", "prefork", "threads")
PROCESSES = (1, 8)
WORKERS = 4
SPANS = 300
"""Spans of a victim that ends itself."""
GO = "go"
"""The file that lets victims run at full speed: all of them have started by then."""
_KILLED = {"SIGKILL", "SIGTERM", "fork", "prefork", "threads"}


@dataclass(slots=True)
class Tally:
    """What the victims say they ended, and what is read back."""

    acknowledged: set[str] = field(default_factory=set)
    read: Counter[str] = field(default_factory=Counter)

    @property
    def lost(self) -> int:
        """Spans that had ended and cannot be read as ended."""
        return len(self.acknowledged - self.read.keys())

    @property
    def doubled(self) -> int:
        """Spans that are there more than once."""
        return sum(count - 1 for count in self.read.values() if count > 1)


def _record(folder: Path, name: str, count: int | None) -> None:
    """Record spans and acknowledge each; without a count until something ends us."""
    import spanreel

    @spanreel.trace
    def work(mark: str) -> str:
        return mark

    handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    number = 0
    while count is None or number < count:
        mark = f"{name}/{number}"
        work(mark)
        os.write(handle, f"{mark}\n".encode())
        number += 1
        if count is None and number == 1:
            while not (folder / GO).exists():
                time.sleep(0.001)


def victim(way: str, folder: str, name: str) -> None:
    """Record, and die in the given way (or wait to be killed)."""
    acks = Path(folder)
    if way == "os._exit":
        _record(acks, name, SPANS)
        os._exit(3)
    if way == "exception":
        _record(acks, name, SPANS)
        raise RuntimeError("the end of this victim")
    if way in {"fork", "prefork"}:
        _record(acks, f"{name}-before", 20)
        for number in range(1 if way == "fork" else WORKERS):
            if os.fork() == 0:
                if way == "fork":
                    _record(acks, f"{name}-child", SPANS)
                    os._exit(0)
                _record(acks, f"{name}-worker{number}", None)
        if way == "prefork":
            time.sleep(child.LONG)
    if way == "threads":
        for number in range(WORKERS):
            threading.Thread(target=_record, args=(acks, f"{name}-thread{number}", None), daemon=True).start()
        time.sleep(child.LONG)
    _record(acks, name, None)


def _wait(ready: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise child.ChildError("the victims did not start")
        time.sleep(0.002)


def _names(way: str, name: str) -> list[str]:
    """Return the acknowledgement files that a victim writes."""
    more = {
        "fork": [f"{name}-before", f"{name}-child"],
        "prefork": [f"{name}-before", *(f"{name}-worker{i}" for i in range(WORKERS))],
        "threads": [f"{name}-thread{i}" for i in range(WORKERS)],
    }
    own = [] if way in {"prefork", "threads"} else [name]
    return more.get(way, []) + own


def _kill_one_round(way: str, count: int, store: Path, acks: Path, number: int) -> list[str]:
    """Start the victims, let them die, and return the names of their files."""
    victims = [f"{way.replace('.', '')}-{number}-{i}" for i in range(count)]
    (acks / GO).unlink(missing_ok=True)
    extra = {"SPANREEL_STORE": str(store)}
    processes = [child.start("durability", "victim", way, acks, name, extra=extra) for name in victims]
    files = [file for name in victims for file in _names(way, name)]
    try:
        if way in _KILLED:
            _wait(lambda: all((acks / file).exists() and (acks / file).stat().st_size for file in files))
            (acks / GO).touch()
            time.sleep(random.uniform(0.001, 0.03))
            for process in processes:
                child.end_group(process, signal.SIGTERM if way == "SIGTERM" else signal.SIGKILL)
        for process in processes:
            process.communicate(timeout=60)
    finally:
        for process in processes:
            child.end_group(process)
    return files


def _read(store: Path, tally: Tally) -> None:
    """Count the spans that the store's reader shows as ended, by the mark in their input."""
    from spanreel_exporters.duckdb.ingest import catch_up
    from spanreel_exporters.duckdb.reader import DuckReader

    catch_up(store)
    with DuckReader(store) as reader:
        rows: list[Any] = reader.connection.execute(
            "SELECT input->>'mark', count(*) FROM spans WHERE state = 'ended' AND status = 'ok' "
            "AND input IS NOT NULL AND output IS NOT NULL GROUP BY ALL"
        ).fetchall()
    tally.read = Counter({str(mark): int(count) for mark, count in rows})


def durability(plan: Plan) -> Measured:
    """Every way to die, 20 times with 1 and with 8 processes; ingest runs after each."""
    rounds = plan.pick(20, 1)
    ended, lost, doubled, bad = 0, 0, 0, []
    for way in WAYS:
        for count in PROCESSES:
            tally = Tally()
            with child.scratch(plan.scratch, "durability") as folder:
                acks = folder / "acks"
                acks.mkdir()
                for number in range(rounds):
                    for file in _kill_one_round(way, count, folder / "store", acks, number):
                        lines = (acks / file).read_text(encoding="utf-8").split("\n")
                        tally.acknowledged.update(lines[:-1])
                    _read(folder / "store", tally)
            ended += len(tally.acknowledged)
            lost += tally.lost
            doubled += tally.doubled
            if tally.lost or tally.doubled:
                bad.append(
                    f"{way} x {count}: {tally.lost} lost, {tally.doubled} double of {len(tally.acknowledged)}"
                )
    share = 100 * (ended - lost) / max(ended, 1)
    runs = len(WAYS) * len(PROCESSES) * rounds
    return Measured(
        f"{share:.4g} % of {ended} readable ({lost} lost), {doubled} double", not lost and not doubled,
        f"{runs} rounds", None, tuple(bad),
    )  # fmt: skip


if __name__ == "__main__":
    victim(*sys.argv[2:])
