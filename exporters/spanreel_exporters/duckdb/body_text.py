"""All text of a span as the one value that is stored: input, output, then its documents' contents.

DuckDB compresses 2,048 values of a column at a time: one longer value instead of several short ones makes
the window of the compressor larger, and a document that its span's output repeats costs a few bytes. The
views `span_body` and `document` cut the parts out again; lengths and places count characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Row = tuple[Any, ...]


def text_rows(bodies: Iterable[Row], documents: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """Rows shaped like the views -> rows of (`body_text`, `document_row`)."""
    parts: dict[int, list[str]] = {}
    lengths: dict[int, tuple[int | None, int | None]] = {}
    ends: dict[int, int] = {}
    for seq, given, answered in bodies:
        parts[seq] = [given or "", answered or ""]
        lengths[seq] = (None if given is None else len(given), None if answered is None else len(answered))
        ends[seq] = len(given or "") + len(answered or "")
    found = []
    for seq, _, _, rank, name, score, content, metadata in documents:
        at, chars = ends.get(seq, 0), None if content is None else len(content)
        if content is not None:
            parts.setdefault(seq, []).append(content)
            ends[seq] = at + len(content)
        found.append((seq, rank, name, score, at, chars, metadata))
    texts = [(seq, *lengths.get(seq, (None, None)), "".join(pieces)) for seq, pieces in parts.items()]
    return texts, found
