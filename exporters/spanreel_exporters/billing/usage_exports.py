"""Usage and cost exports of OpenAI and Anthropic: JSON of their usage APIs, CSV of their consoles.

Columns are matched by what their names say, not by their order: both consoles have renamed theirs more than once.
Sources of the names: developers.openai.com/api/docs/api-reference/usage (completions, embeddings, costs),
platform.claude.com/docs/en/api/admin-api/usage-cost (usage_report/messages, cost_report), and the header lines of
the consoles' CSV exports.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from spanreel.errors import SpanreelError

COUNTS: Final[Mapping[str, tuple[str, ...]]] = {
    "input": (
        "uncached_input_tokens", "usage_input_tokens_no_cache", "input_tokens_no_cache", "uncached_input",
        "input_uncached_tokens",
    ),
    "input_inclusive": ("input_tokens", "n_context_tokens_total", "context_tokens", "prompt_tokens"),
    "cache_read": (
        "cache_read_input_tokens", "input_cached_tokens", "usage_input_tokens_cache_read", "input_tokens_cache_read",
        "cached_tokens", "n_cached_context_tokens_total",
    ),
    "cache_write": (
        "ephemeral_5m_input_tokens", "cache_creation_5m_input_tokens", "usage_input_tokens_cache_write_5m",
        "input_tokens_cache_write_5m", "input_cache_write_tokens",
    ),
    "cache_write_any": ("cache_creation_input_tokens", "usage_input_tokens_cache_write"),
    "cache_write_1h": (
        "ephemeral_1h_input_tokens", "cache_creation_1h_input_tokens", "usage_input_tokens_cache_write_1h",
        "input_tokens_cache_write_1h",
    ),
    "output": ("output_tokens", "usage_output_tokens", "n_generated_tokens_total", "generated_tokens",
               "completion_tokens"),
    "audio_input": ("input_audio_tokens",),
    "audio_output": ("output_audio_tokens",),
    "calls": ("num_model_requests", "n_requests", "num_requests", "requests", "request_count"),
    "web_searches": ("web_search_requests", "web_search_count"),
}  # fmt: skip
"""What is counted -> the names that exports have for it, the newest first."""
MODEL: Final = ("model", "model_version", "snapshot_id", "model_name", "line_item", "description")
DAY: Final = (
    "start_time_iso", "starting_at", "usage_date_utc", "usage_date", "date", "day", "start_time", "timestamp", "time",
    "aggregation_timestamp",
)  # fmt: skip
COST: Final = ("cost_usd", "amount_value", "cost", "amount", "amount_in_major", "price_usd")


@dataclass(slots=True)
class Exported:
    """One model on one day, as the provider counted it. A count that the export does not tell is absent."""

    day: str
    model: str
    counts: dict[str, int] = field(default_factory=dict)
    cost_usd: Decimal | None = None

    def add(self, counts: Mapping[str, int], cost: Decimal | None) -> None:
        """Take in another line of the same model and day (another key, project, tier, ...)."""
        for name, value in counts.items():
            self.counts[name] = self.counts.get(name, 0) + value
        if cost is not None:
            self.cost_usd = (self.cost_usd or Decimal(0)) + cost


class ExportError(SpanreelError):
    """A file that is no usage export; names it, where, and what was expected."""


def read(path: Path) -> list[Exported]:
    """The lines of an export by day and model. Raises ExportError."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ExportError(f"{path} is no text (byte {error.start})") from error
    rows = _json_rows(path, text) if text.lstrip()[:1] in {"{", "["} else _csv_rows(path, text)
    found: dict[tuple[str, str], Exported] = {}
    for where, row in rows:
        day, model = _day(path, where, row), _model(row)
        counts, cost = _counts(path, where, row), _cost(path, where, row)
        if counts or cost is not None:
            found.setdefault((day, model), Exported(day, model)).add(counts, cost)
    if not found:
        raise ExportError(f"{path} holds no usage: no line tells tokens, requests or a cost")
    return [found[key] for key in sorted(found)]


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Results of the buckets of one page, of a list of pages, or of pages one a line."""
    try:
        pages = json.loads(text, parse_float=Decimal)
    except ValueError as error:
        try:
            pages = [json.loads(line, parse_float=Decimal) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise ExportError(f"{path} is no JSON: {error}") from error
    for at, page in enumerate(pages if isinstance(pages, list) else [pages]):
        if not isinstance(page, dict):
            raise ExportError(f"{path}: entry {at + 1} is no object of a usage API")
        data = page.get("data")
        buckets: list[Any] = data if isinstance(data, list) else [page]
        for number, bucket in enumerate(buckets):
            if not isinstance(bucket, dict):
                raise ExportError(f"{path}: bucket {number + 1} is no object")
            results = bucket.get("results", bucket.get("result"))
            for result in results if isinstance(results, list) else [bucket]:
                if isinstance(result, dict):
                    head = {key: value for key, value in bucket.items() if key not in {"results", "result"}}
                    yield f"bucket {number + 1}", _flat({**head, **result})


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Nested objects (cache_creation, server_tool_use, amount) beside the rest, under their own names."""
    out: dict[str, Any] = {}
    for key, value in row.items():
        name = _name(key)
        if isinstance(value, dict):
            for inner, number in value.items():
                out.setdefault(f"{name}_{_name(inner)}" if name == "amount" else _name(inner), number)
        else:
            out[name] = value
    return out


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        yield from _csv_lines(path, text)
    except csv.Error as error:
        raise ExportError(f"{path} is no CSV: {error}") from error


def _csv_lines(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    lines = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)
    header = [_name(cell) for cell in next(lines, [])]
    known = {*MODEL, *DAY, *COST, *(name for names in COUNTS.values() for name in names)}
    if not known.intersection(header):
        raise ExportError(
            f"{path}:1: no column of a usage export is known: {', '.join(header[:8]) or 'the line is empty'}"
        )
    for line in lines:
        if any(cell.strip() for cell in line):
            yield f"line {lines.line_num}", dict(zip(header, line, strict=False))


def _name(text: object) -> str:
    """A column's name in lower case with underscores: `Input tokens (no cache)` -> `input_tokens_no_cache`."""
    letters = [character if character.isalnum() else " " for character in str(text).lower()]
    return "_".join("".join(letters).split())


def _model(row: Mapping[str, Any]) -> str:
    found = next((str(row[name]).strip() for name in MODEL if row.get(name)), "")
    return found.partition(",")[0].strip() if "line_item" in row and not row.get("model") else found


def _day(path: Path, where: str, row: Mapping[str, Any]) -> str:
    for name in DAY:
        value = row.get(name)
        if _absent(value):
            continue
        try:
            if str(value).strip().lstrip("-").isdigit():
                seconds = int(str(value))
                return (
                    datetime.fromtimestamp(seconds / (1000 if seconds > 10**11 else 1), tz=UTC)
                    .date()
                    .isoformat()
                )
            moment = datetime.fromisoformat(str(value).strip())
            return (moment.astimezone(UTC) if moment.tzinfo else moment).date().isoformat()
        except (ValueError, OverflowError, OSError) as error:
            raise ExportError(f"{path}, {where}: {name} {value!r} is no time") from error
    raise ExportError(f"{path}, {where}: no day (one of {', '.join(DAY[:6])})")


def _absent(value: object) -> bool:
    return value is None or value == ""


def _counts(path: Path, where: str, row: Mapping[str, Any]) -> dict[str, int]:
    found = {}
    for name, columns in COUNTS.items():
        column = next((column for column in columns if not _absent(row.get(column))), None)
        if column is not None:
            number = _number(path, where, column, row[column])
            found[name] = int(number)
    return found


def _cost(path: Path, where: str, row: Mapping[str, Any]) -> Decimal | None:
    """USD; the API of Anthropic tells cents (its `amount` is a text beside `currency`)."""
    column = next((column for column in COST if not _absent(row.get(column))), None)
    if column is None:
        return None
    amount = _number(path, where, column, row[column])
    currency = str(row.get("currency") or row.get("amount_currency") or "usd").lower()
    if currency != "usd":
        raise ExportError(f"{path}, {where}: a cost in {currency.upper()}; only USD can be compared")
    cents = column == "amount" and "cost_type" in row
    return amount / 100 if cents else amount


def _number(path: Path, where: str, column: str, value: object) -> Decimal:
    try:
        number = Decimal(str(value).strip().lstrip("$").replace(",", ""))
    except InvalidOperation:
        raise ExportError(f"{path}, {where}: {column} {value!r} is no number") from None
    if not number.is_finite():
        raise ExportError(f"{path}, {where}: {column} {value!r} is no number")
    return number
