"""Which trace a word means: an id or its beginning, `last`, `last~1`, `last:NAME`."""

from __future__ import annotations

from pathlib import Path


def trace_id(store: Path, word: str) -> str:
    """Return the full id of the trace that `word` names. Raises QueryError when there is none or several.

    A full id passes as it is: a trace may be known by scores or journal records alone.
    """
    if len(word) == 32 and all(letter in "0123456789abcdef" for letter in word):
        return word
    from spanreel_exporters.duckdb.reader import DuckReader

    with DuckReader(store) as reader:
        return reader.resolve(word)
