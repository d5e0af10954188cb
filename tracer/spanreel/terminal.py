"""Text for a terminal: colours only where they are seen, columns, figures; nothing recorded can steer it."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_STEERING = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
"""Direction marks and line separators: they reorder or break what stands around them."""
_INVISIBLE = {code: f"\\u{code:04x}" for code in _STEERING}
_ONE_LINE = {**_CONTROL, **_INVISIBLE, 9: " ", 10: "\N{RETURN SYMBOL}", 13: ""}
_JSON_CONTROL = {code: f"\\u{code:04x}" for code in (*range(127, 160), *range(0xD800, 0xE000), *_STEERING)}
_GAP = "  "


class Terminal:
    """One output stream: whether it takes colours and how wide it is."""

    __slots__ = ("_stream", "colour", "width")

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        tty = self._stream.isatty()
        forced = os.environ.get("FORCE_COLOR", "") not in ("", "0")
        self.colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and (tty or forced)
        known = tty or os.environ.get("COLUMNS")
        self.width = shutil.get_terminal_size((100, 24)).columns if known else 160

    def paint(self, text: str, *styles: str) -> str:
        """Return `text` in the named styles (bold, dim, red, ...), or unchanged where colours are off."""
        if not self.colour or not styles or not text:
            return text
        return f"\x1b[{';'.join(_CODES[style] for style in styles)}m{text}\x1b[0m"

    def line(self, text: str = "") -> None:
        """Print one line."""
        self._stream.write(text + "\n")

    def json(self, value: Any) -> None:
        """Print `value` as indented JSON; what JSON does not know (dates, decimals) becomes text."""
        self.line(json_text(value, indent=2))

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        right: Iterable[str] = (),
        least: Mapping[str, int] | None = None,
        drop: Sequence[str] = (),
    ) -> None:
        """Print aligned columns (cells are made safe); columns named in `right` are set flush right.

        Where the table is wider than the terminal, the columns of `least` are cut, down to so many characters each,
        and if that is not enough those of `drop` are left out, in that order.
        """
        safe = [[one_line(cell) for cell in row] for row in rows]
        widths = [
            max([display_width(name), *(display_width(row[at]) for row in safe)])
            for at, name in enumerate(columns)
        ]
        fitted = _fitted(columns, widths, self.width, least or {}, drop)
        flush = {at for at, name in enumerate(columns) if name in set(right)}
        self.line(self.paint(_columns(columns, fitted, flush), "bold"))
        for row in safe:
            self.line(_columns(row, fitted, flush))


def _fitted(
    columns: Sequence[str], widths: Sequence[int], room: int, least: Mapping[str, int], drop: Sequence[str]
) -> dict[int, int]:
    """Column -> its width, of those columns that stay; as wide as they are where there is room."""
    fitted = {at: min(widths[at], least.get(name, widths[at])) for at, name in enumerate(columns)}
    for name in drop:
        if _total(fitted) <= room:
            break
        del fitted[columns.index(name)]
    for name in least:
        at = columns.index(name)
        fitted[at] = min(widths[at], fitted[at] + max(room - _total(fitted), 0))
    return fitted


def _total(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + len(_GAP) * (len(widths) - 1)


def _columns(cells: Sequence[str], widths: Mapping[int, int], flush: set[int]) -> str:
    parts = []
    for at, width in widths.items():
        cell = shorten(cells[at], width)
        padding = " " * (width - display_width(cell))
        parts.append(padding + cell if at in flush else cell + padding)
    return _GAP.join(parts).rstrip()


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON text that a terminal cannot be steered by: control characters and lone surrogates are escaped."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=indent, default=str, allow_nan=False)
    except ValueError:  # NaN and infinity are no JSON
        text = json.dumps(_finite(value), ensure_ascii=False, indent=indent, default=str)
    return text.translate(_JSON_CONTROL)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def one_line(text: object, limit: int | None = None) -> str:
    """Return recorded text fit for one line: control and direction characters made visible, cut at `limit`."""
    clean = str(text).translate(_ONE_LINE).encode("utf-8", "backslashreplace").decode("utf-8")
    return shorten(clean, limit) if limit is not None else clean


def shorten(text: str, limit: int) -> str:
    """Return `text` cut to `limit` columns with an ellipsis."""
    if display_width(text) <= limit:
        return text
    room, kept = max(limit - 1, 0), []
    for character in text:
        room -= _cells(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + "…"


def display_width(text: str) -> int:
    """Return the columns that `text` takes: wide East Asian characters two, combining marks none."""
    return len(text) if text.isascii() else sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def duration(milliseconds: float | None) -> str:
    """Return a duration in the unit a person would say it in."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1:
        return f"{milliseconds * 1000:.0f} us"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def money(dollars: float | None) -> str:
    """Return a cost in US dollars with the digits that matter."""
    if dollars is None:
        return "-"
    value = float(dollars)
    if value == 0:
        return "$0"
    if abs(value) < 0.0001:
        digits = 1 - math.floor(math.log10(abs(value)))
        return f"${value:.{digits}f}"
    return f"${value:.4f}" if abs(value) < 1 else f"${value:,.2f}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return a number of things, said as people say it: `1 call`, `2 calls`; `many` where it is not `one` + s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(count: float | None) -> str:
    """Return a number of bytes in decimal units, as `--max-size` reads them."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def count(number: int | None) -> str:
    """Return a count with thousands set apart; `-` where it is unknown."""
    return "-" if number is None else f"{number:,}"
