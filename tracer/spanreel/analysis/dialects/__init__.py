"""Attributes of any instrumentation -> the canonical record. One file per dialect, one line in the table.

Our recorder's own spans have a dialect of their own and pay one look into their attributes. A span of another
instrumentation is read by every dialect that finds its names on it: the first in the table wins field by
field, the others fill what it left empty (several conventions on one span are common). Dispatch is on
attribute names and scope, never on `schemaUrl`, which the packages do not keep true. Total.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Final, Protocol

from spanreel.analysis.dialects import (
    adk,
    anthropic_sdk,
    foreign,
    genai,
    generic,
    haystack,
    langfuse,
    langsmith,
    logfire,
    mastra,
    mlflow,
    openinference,
    openllmetry,
    pydantic_ai,
    spanreel,
    traceloop,
    vector_stores,
    vercel,
)
from spanreel.analysis.dialects.reading import dump
from spanreel.analysis.dialects.vocabulary import BILLED_KINDS, maker
from spanreel.analysis.record import Canonical, RawSpan

Lose = Callable[[str], None]


class Dialect(Protocol):
    """A module that reads one family of attribute names."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a module's constant
        """The dialect's name, as it stands in the `dialect` column."""
        ...

    def matches(self, raw: RawSpan) -> bool:
        """Whether the span speaks this dialect."""
        ...

    def normalise(self, raw: RawSpan, lose: Lose) -> Canonical:
        """Read the span. `lose(reason)` counts what could not be read."""
        ...


DIALECTS: Final[tuple[Dialect, ...]] = (
    # what a vendor says explicitly
    langfuse,
    langsmith,
    mlflow,
    mastra,
    anthropic_sdk,
    pydantic_ai,
    logfire,
    adk,
    vercel,
    haystack,
    traceloop,
    # conventions
    openinference,
    openllmetry,
    genai,
    vector_stores,
)
"""Dialects of other instrumentations, in the order of precedence."""

_USAGE: Final = tuple(
    item.name for item in fields(Canonical) if item.name.endswith(("_tokens", "_units", "_searches"))
)
_COST: Final = ("cost_usd", "cost_source")
_SINGLE: Final = tuple(
    item.name
    for item in fields(Canonical)
    if item.name not in {*_USAGE, *_COST, "kind", "name", "dialect", "documents", "attributes"}
)


_SILENT: Final = frozenset({openinference.NAME, openllmetry.NAME, traceloop.NAME})
"""Dialects whose packages do not always tell the provider of a client that they know."""


def _ignore(_reason: str) -> None:
    return


def normalise(raw: RawSpan, *, lose: Lose = _ignore) -> Canonical:
    """The canonical record of a span: by its own dialect, or by those of other instrumentations."""
    if foreign.SCOPE not in raw.attributes:
        return spanreel.normalise(raw, lose)
    row: Canonical | None = None
    for dialect in DIALECTS:
        try:
            if not dialect.matches(raw):
                continue
            read = dialect.normalise(raw, lose)
        except Exception:  # what one dialect chokes on, another may still read
            lose("dialect_failed")
            continue
        row = read if row is None else _filled(row, read)
    row = _guessed(row, raw, lose)
    return _finished(row or foreign.begin(raw, "otel"), raw)


def _guessed(row: Canonical | None, raw: RawSpan, lose: Lose) -> Canonical | None:
    """What the names suggest: of a span that nobody can tell the kind of, or that a vendor added names to."""
    known = row is not None and row.kind != "span"
    if known and not generic.adds(raw):
        return row
    try:
        if not known and not generic.matches(raw):
            return row
        read = generic.read_as(raw, row.kind) if row is not None and known else generic.normalise(raw, lose)
    except Exception:
        lose("dialect_failed")
        return row
    return read if row is None else _filled(row, read)


def _filled(row: Canonical, more: Canonical) -> Canonical:
    """Fill what the dialect of higher precedence left empty; usage and cost only as a whole."""
    for name in _SINGLE:
        if getattr(row, name) in (None, []) and getattr(more, name) is not None:
            setattr(row, name, getattr(more, name))
    if row.kind == "span":
        row.kind = more.kind
    if row.input_tokens is None and row.output_tokens is None:
        _copy(row, more, _USAGE)
    if row.cost_usd is None:
        _copy(row, more, _COST)
    row.documents = row.documents or more.documents
    return row


def _copy(row: Canonical, more: Canonical, names: tuple[str, ...]) -> None:
    for name in names:
        setattr(row, name, getattr(more, name))


def _finished(row: Canonical, raw: RawSpan) -> Canonical:
    """What holds whichever dialect read the span: whose usage counts, the shape of a retrieval's output."""
    row.attributes = raw.attributes_json or dump(raw.attributes)
    if row.kind not in BILLED_KINDS:  # a total of the calls below, or a repetition of one
        for name in (*_USAGE, *_COST):
            setattr(row, name, None)
    elif row.provider is None and row.dialect in _SILENT:
        row.provider = maker(row.request_model)
    if row.kind == "tool":
        row.tool_name = row.tool_name or row.name
    if row.kind == "retrieval" and row.documents:
        row.output = foreign.documents_json(row.documents)
    return row
