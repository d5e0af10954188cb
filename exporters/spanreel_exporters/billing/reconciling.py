"""What a provider counted against what was recorded, by day and model: each figure that differs is named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from spanreel_exporters.billing.usage_exports import Exported
from spanreel_exporters.duckdb.bill_results import DayUsage

_DATE: Final = re.compile(r"[-@](\d{4}-?\d{2}-?\d{2}|latest)$")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a model on a day, on both sides."""

    name: str
    exported: Decimal
    recorded: Decimal

    @property
    def difference(self) -> Decimal:
        """Recorded less exported: negative where calls were made that were not recorded."""
        return self.recorded - self.exported


@dataclass(frozen=True, slots=True)
class Line:
    """One model on one day."""

    day: str
    model: str
    state: str
    """same, differs, only exported, only recorded."""
    figures: tuple[Figure, ...]
    unpriced_calls: int = 0

    @property
    def differing(self) -> tuple[Figure, ...]:
        """The figures that are not the same on both sides."""
        return tuple(figure for figure in self.figures if not _same(figure))


def _same(figure: Figure) -> bool:
    """Counts to the last one; money to the cent, which is what exports are rounded to."""
    return abs(figure.difference) < Decimal("0.005") if figure.name == "cost_usd" else not figure.difference


def reconcile(exported: Sequence[Exported], recorded: Iterable[DayUsage]) -> list[Line]:
    """Lines by day and model: of the export's days all that either side knows."""
    ours: dict[tuple[str, str], list[DayUsage]] = {}
    days = {line.day for line in exported}
    for usage in recorded:
        if usage.day in days and usage.model is not None:
            ours.setdefault((usage.day, usage.model.lower()), []).append(usage)
    lines = []
    for line in exported:
        found = ours.pop(_find(ours, line), [])
        lines.append(_line(line, found))
    for (day, model), rest in sorted(ours.items()):
        if any(usage.input or usage.output or usage.cache_read or usage.cache_write for usage in rest):
            lines.append(_only_recorded(day, model, rest))
    return sorted(lines, key=lambda line: (line.day, line.model))


def _find(ours: dict[tuple[str, str], list[DayUsage]], line: Exported) -> tuple[str, str]:
    """The key on our side: the same name, else the same without the date of the version, if that is one."""
    model = line.model.lower()
    if (line.day, model) in ours:
        return line.day, model
    bare = _DATE.sub("", model)
    near = [key for key in ours if key[0] == line.day and _DATE.sub("", key[1]) == bare]
    return near[0] if len(near) == 1 else (line.day, model)


def _line(line: Exported, found: list[DayUsage]) -> Line:
    figures = []
    for name, value in line.counts.items():
        recorded = _recorded(name, line.counts, found)
        if recorded is not None:
            figures.append(
                Figure(
                    name.removesuffix("_inclusive").removesuffix("_any"), Decimal(value), Decimal(recorded)
                )
            )
    if line.cost_usd is not None:
        figures.append(
            Figure(
                "cost_usd", line.cost_usd, sum((usage.cost_usd or Decimal(0) for usage in found), Decimal(0))
            )
        )
    unpriced = sum(usage.unpriced_calls for usage in found)
    if not found:
        return Line(line.day, line.model, "only exported", tuple(figures))
    same = all(_same(figure) for figure in figures)
    return Line(line.day, line.model, "same" if same else "differs", tuple(figures), unpriced)


def _recorded(name: str, told: dict[str, int], found: list[DayUsage]) -> int | None:
    """Our figure for one of the export's. Its input holds the cache, and audio where it has no column for it."""
    total = 0
    for usage in found:
        if name == "input_inclusive":
            total += (
                usage.input + usage.cache_read + usage.cache_write + usage.cache_write_1h + usage.image_input
            )
            total += 0 if "audio_input" in told else usage.audio_input
        elif name == "output":
            total += usage.output + (0 if "audio_output" in told else usage.audio_output)
        elif name == "cache_write_any":
            total += usage.cache_write + usage.cache_write_1h
        elif name == "input":
            total += usage.input + usage.image_input + usage.audio_input
        else:
            total += getattr(usage, name)
    if name == "cache_write_any" and ("cache_write" in told or "cache_write_1h" in told):
        return None
    return None if name == "input_inclusive" and "input" in told else total


def _only_recorded(day: str, model: str, rest: list[DayUsage]) -> Line:
    given = sum(usage.input + usage.cache_read + usage.cache_write + usage.cache_write_1h for usage in rest)
    figures = (
        Figure("calls", Decimal(0), Decimal(sum(usage.calls for usage in rest))),
        Figure("input", Decimal(0), Decimal(given)),
        Figure("output", Decimal(0), Decimal(sum(usage.output for usage in rest))),
    )
    return Line(day, model, "only recorded", figures, sum(usage.unpriced_calls for usage in rest))
