"""SQL of the user's own over a store: read-only, caught up, locked down, bounded in time and memory.

A read-only DuckDB connection still writes files by COPY and reads any file by `read_text`; so once the
tails are loaded, access to files is switched off and the configuration locked. Which statements may run at
all is decided before, from DuckDB's own parser.
"""

from __future__ import annotations

import html
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanreel.errors import QueryError, SpanreelError

if TYPE_CHECKING:
    import pandas as pd

    import duckdb

TIMEOUT_MS = 10_000
"""Longest run of one query: a reader holds the store's shared lock, and the ingester waits behind it."""
CATCH_UP_S = 30.0
"""Longest wait for a journal that no keeper has taken in and that is too long to be read as it is."""
MEMORY_LIMIT = "512MB"
ROW_LIMIT = 1_000_000
RESULT_BYTES = 512 << 20
"""Text of one answer; it is held in Python's memory, beside what DuckDB uses."""
_FETCH = 256
_TOO_LONG = "the query took too long and was stopped; narrow it by started_at or trace_id"
ALLOWED = "allowed: one SELECT (or WITH, FROM, VALUES, PIVOT, DESCRIBE, SUMMARIZE, SHOW, EXPLAIN) over the views spans, traces, documents, flags, scores, losses"
_ALLOWED_TYPES = frozenset({"SELECT", "EXPLAIN", "MULTI"})
_HTML_ROWS = 100
_HTML_CELL = 300

Parameters = Sequence[Any] | Mapping[str, Any] | None


class Rows(list[dict[str, Any]]):
    """The answer to a query: a list of dicts, one a row, in the query's order.

    `columns` are the column names (a name used twice is numbered), `truncated` tells that more rows
    existed than were fetched, `notices` what the answer may lack (the file held by another client, a long
    journal), in words for a person.
    """

    __slots__ = ("columns", "notices", "truncated")

    def __init__(
        self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, truncated: bool = False
    ) -> None:
        self.columns = distinct(columns)
        self.truncated = truncated
        self.notices: list[str] = []
        super().__init__(dict(zip(self.columns, row, strict=True)) for row in rows)

    def df(self) -> pd.DataFrame:
        """Return a pandas DataFrame with the same columns. Raises SpanreelError where pandas is missing."""
        try:
            import pandas as pd
        except ImportError as error:
            raise SpanreelError("df() needs pandas; install it: pip install pandas") from error
        return pd.DataFrame([list(row.values()) for row in self], columns=self.columns)

    def _repr_html_(self) -> str:
        """Return a table for notebooks, every cell escaped, the first 100 rows."""
        head = "".join(f"<th>{html.escape(column)}</th>" for column in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{_html_cell(value)}</td>" for value in row.values()) + "</tr>"
            for row in self[:_HTML_ROWS]
        )
        more = f"<p>{len(self) - _HTML_ROWS} more rows</p>" if len(self) > _HTML_ROWS else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _html_cell(value: object) -> str:
    if value is None:
        return "<i>NULL</i>"
    text = str(value)
    return html.escape(text if len(text) <= _HTML_CELL else text[: _HTML_CELL - 1] + "…")


def distinct(columns: Sequence[str]) -> list[str]:
    """Return column names made different from each other: a, a -> a, a_2."""
    taken: set[str] = set()
    names: list[str] = []
    for column in columns:
        name, number = column, 1
        while name in taken or (number > 1 and name in columns):
            number += 1
            name = f"{column}_{number}"
        taken.add(name)
        names.append(name)
    return names


def sql(query: str, params: Parameters = None, store: str | os.PathLike[str] | None = None) -> Rows:
    """Run one reading statement over the views of a store, caught up and live; what `spanreel.sql` is.

    `store` defaults to the one that the recorder uses. Raises QueryError (refused, wrong, too slow, too
    large) and StoreError (no store, newer, busy).
    """
    from spanreel.store import resolve
    from spanreel_exporters.duckdb.ingest import catch_up

    check(query)
    if store is None:
        from spanreel.recorder import settings

        store = settings().store
    place = resolve(None if store is None else Path(store))
    rows, missing = _ask(place, query, params)
    if missing:  # an answer over half a journal is no answer: take the rest in, then ask again
        catch_up(place, timeout=CATCH_UP_S)
        rows, _ = _ask(place, query, params)
    return rows


def _ask(place: Path, query: str, params: Parameters) -> tuple[Rows, int]:
    from spanreel_exporters.duckdb.reader import DuckReader, locked_down

    with DuckReader(place) as reader:
        rows = run(locked_down(reader), query, params)
        rows.notices = list(reader.notices)
        return rows, reader.missing_bytes


def check(query: str) -> None:
    """Let one reading statement pass. Raises QueryError that says what is refused and what is allowed."""
    import duckdb

    try:
        statements = duckdb.extract_statements(query)
        kinds = [statement.type.name for statement in statements]
    except duckdb.Error as error:
        raise QueryError(f"this SQL does not parse: {_first_line(error)}") from error
    except ValueError as error:  # a statement newer than the Python client's own list of types
        raise QueryError(f"this kind of statement is refused; {ALLOWED}") from error
    if not kinds:
        raise QueryError(f"the query is empty; {ALLOWED}")
    if len(kinds) > 1:
        raise QueryError(f"{len(kinds)} statements at once are refused; {ALLOWED}")
    if kinds[0] not in _ALLOWED_TYPES:
        raise QueryError(f"{kinds[0]} is refused: SQL over a store only reads; {ALLOWED}")


def lock_down(connection: duckdb.DuckDBPyConnection, *, timeout_ms: int = TIMEOUT_MS) -> None:
    """Take files, extensions, Python variables and settings away from a connection, for good."""
    for statement in (
        "SET python_enable_replacements=false",
        f"SET memory_limit='{MEMORY_LIMIT}'",
        f"SET max_execution_time={int(timeout_ms)}",
        "SET TimeZone='UTC'",
        "SET autoinstall_known_extensions=false",
        "SET autoload_known_extensions=false",
        "SET allow_community_extensions=false",
        "SET enable_external_access=false",
        "SET lock_configuration=true",
    ):
        connection.execute(statement)


def run(
    connection: duckdb.DuckDBPyConnection, query: str, params: Parameters = None, *, limit: int = ROW_LIMIT
) -> Rows:
    """Run a checked query on a locked-down connection. Raises QueryError with DuckDB's words, shortened."""
    import duckdb

    try:
        cursor = connection.execute(query) if params is None else connection.execute(query, params)
        columns = [cell[0] for cell in cursor.description or ()]
        rows = _fetch(cursor, limit + 1)
    except duckdb.InterruptException as error:
        raise QueryError(_TOO_LONG) from error
    except duckdb.OutOfMemoryException as error:
        raise QueryError(
            f"the query needs more than {MEMORY_LIMIT} of memory; narrow it or select fewer columns"
        ) from error
    except duckdb.PermissionException as error:
        raise QueryError(f"reading and writing files is refused; {ALLOWED}") from error
    except (duckdb.Error, RuntimeError, TypeError) as error:
        raise QueryError(explain(error)) from error
    return Rows(columns, rows[:limit], truncated=len(rows) > limit)


def _fetch(cursor: duckdb.DuckDBPyConnection, most: int) -> list[tuple[Any, ...]]:
    """Fetch at most `most` rows. Raises QueryError where they are too large or come too slowly.

    DuckDB's own limits end where the result begins.
    """
    rows: list[tuple[Any, ...]] = []
    size, deadline = 0, time.monotonic() + TIMEOUT_MS / 1000
    while len(rows) < most:
        part = cursor.fetchmany(min(_FETCH, most - len(rows)))
        if not part:
            break
        rows += part
        size += sum(len(cell) for row in part for cell in row if isinstance(cell, (str, bytes)))
        if size > RESULT_BYTES:
            raise QueryError(
                f"the answer is larger than {RESULT_BYTES >> 20} MB; narrow it or select fewer columns"
            )
        if time.monotonic() > deadline:
            raise QueryError(_TOO_LONG)
    return rows


def explain(error: Exception) -> str:
    """Return the sentence of a DuckDB error: without its kind, the position marks and the links."""
    text = str(error)
    for mark in ("\n\nLINE ", "\nLINE ", "\n\nSee also", "See also https"):
        text = text.partition(mark)[0]
    text = " ".join(text.split())
    if "configuration has been locked" in text:
        return f"settings are locked; {ALLOWED}"
    if "read-only mode" in text:
        return f"writing is refused; {ALLOWED}"
    return text


def _first_line(error: Exception) -> str:
    return explain(error).removeprefix("Parser Error: ")
