"""What a row measured, and the table that it is printed in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run goes: quick or full, and where its stores may be made (on a real disk)."""

    quick: bool
    scratch: Path

    def pick(self, full: int, quick: int) -> int:
        """Return the count for this run."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Measured:
    """The outcome of one row; `aim` is None where the row has none."""

    text: str
    reached: bool
    n: str
    aim: bool | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what is promised, and how it is measured."""

    key: str
    what: str
    must: str
    aim: str
    measure: Callable[[Plan], Measured]


def verdict(found: Measured) -> str:
    """Return the words for the outcome."""
    if not found.reached:
        return "NOT REACHED"
    if found.aim is None:
        return "reached"
    return "reached, aim too" if found.aim else "reached, aim not"


class Table:
    """Prints rows as they are measured, notes under each, and keeps them for `--json`."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self.missed = 0

    def head(self) -> None:
        """Print the column names."""
        print("| what | must | aim | measured | verdict | n |")
        print("|---|---|---|---|---|---|", flush=True)

    def add(self, row: Row, found: Measured, seconds: float) -> None:
        """Print one row."""
        said = verdict(found)
        self.missed += not found.reached
        print(f"| {row.what} | {row.must} | {row.aim} | {found.text} | {said} | {found.n} |")
        for note in found.notes:
            print(f"|   - {note} | | | | | |")
        print(end="", flush=True)
        self.rows.append({"key": row.key, "what": row.what, "must": row.must, "aim": row.aim, "verdict": said,
                          "seconds": round(seconds, 1), **asdict(found)})  # fmt: skip

    def save(self, path: Path) -> None:
        """Write all rows as JSON."""
        path.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")


def ratio(value: float) -> str:
    """Return a ratio as text."""
    return f"{value:.2f}"


def quantile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the values lie (nearest rank); NaN of none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
