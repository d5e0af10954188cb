"""psycopg 3: statements that rank by a vector (pgvector), sync and async, client-side, server-side, streamed.

A client-side cursor holds all rows when `execute` returns; they are read from its result, by loaders of our
own, so the cursor's place, row factory and rows are untouched. Of a server-side cursor and of `stream()` the
rows are those that the program fetches, and the span ends with the last of them. Other statements pass.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from spanreel.documents import MOST, Document
from spanreel.guard import guard
from spanreel.instruments import vector_sql
from spanreel.instruments.patching import Patches, wanted
from spanreel.instruments.retrieval import (
    Found,
    Query,
    document,
    finish,
    observe,
    observe_async,
    split,
    start,
)

if TYPE_CHECKING:
    from types import ModuleType

    from spanreel.instruments.vector_sql import Search
    from spanreel.spans import Span

SYSTEM = "postgresql"
OPERATOR = vector_sql.OPERATOR
VECTORS = frozenset({"vector", "halfvec", "sparsevec"})
_open: weakref.WeakKeyDictionary[Any, _Fetching] = weakref.WeakKeyDictionary()
"""Server-side cursors whose rows are being fetched."""


def install(module: ModuleType) -> Callable[[], None]:
    """Wrap the cursor classes of `psycopg`."""
    patches = Patches()
    _execute(patches, module.Cursor)
    _execute_async(patches, module.AsyncCursor)
    _stream(patches, module.Cursor)
    _stream_async(patches, module.AsyncCursor)
    for kind, execute in ((module.ServerCursor, _declare), (module.AsyncServerCursor, _declare_async)):
        execute(patches, kind)
        _fetch(patches, kind)
        _close(patches, kind)
    return patches.undo


def _statement(cursor: Any, args: Any, kwargs: Any) -> tuple[str, Any] | None:
    """The text and parameters of a statement that may rank by a vector; quick to say no."""
    query = args[0] if args else kwargs.get("query")
    if isinstance(query, str) and ("<" not in query or not OPERATOR.search(query)):
        return None
    if query is None or not wanted():
        return None
    with guard("instruments.psycopg.statement"):
        if isinstance(query, bytes):
            query = query.decode()
        elif not isinstance(query, str):
            query = query.as_string(cursor) if hasattr(query, "as_string") else ""
        if OPERATOR.search(query):
            return query, args[1] if len(args) > 1 else kwargs.get("params")
    return None


def _search(found: tuple[str, Any] | None) -> Search | None:
    if found is not None:
        with guard("instruments.psycopg.search"):
            return vector_sql.recognise(*found)
    return None


def query_of(search: Search, statement: str, parameters: Any, server: str | None = None) -> Query:
    """What a statement asks, for a span; of its parameters all but the vectors."""
    listed = vector_sql.values(parameters)
    kept = [value for value in listed if vector_sql.size_of(value) is None]
    where: Any = search.where
    if where is not None and kept:
        where = {"where": where, "parameters": kept}
    return Query(
        source=search.table,
        operation="SELECT",
        vector=search.dimensions,
        top_k=search.top_k,
        filter=where,
        metric=search.metric,
        score_kind="similarity" if search.similarity else "distance",
        statement=statement,
        attributes={"db.namespace": server},
    )


def _ask(cursor: Any, search: Search, found: tuple[str, Any]) -> Callable[[], Query]:
    return lambda: query_of(search, *found, server=cursor.connection.info.dbname)


def _execute(patches: Patches, kind: Any) -> None:
    original = vars(kind)["execute"]

    @functools.wraps(original)
    def execute(cursor: Any, *args: Any, **kwargs: Any) -> Any:
        found = _statement(cursor, args, kwargs) if patches.on else None
        search = None if found is None else _search(found)
        if search is None or found is None:
            return original(cursor, *args, **kwargs)
        return observe(
            SYSTEM,
            lambda: original(cursor, *args, **kwargs),
            _ask(cursor, search, found),
            lambda _result: _read(cursor, search),
        )

    patches.replace(kind, "execute", execute)


def _execute_async(patches: Patches, kind: Any) -> None:
    original = vars(kind)["execute"]

    @functools.wraps(original)
    async def execute(cursor: Any, *args: Any, **kwargs: Any) -> Any:
        found = _statement(cursor, args, kwargs) if patches.on else None
        search = None if found is None else _search(found)
        if search is None or found is None:
            return await original(cursor, *args, **kwargs)
        return await observe_async(
            SYSTEM,
            lambda: original(cursor, *args, **kwargs),
            _ask(cursor, search, found),
            lambda _result: _read(cursor, search),
        )

    patches.replace(kind, "execute", execute)


# -- rows -------------------------------------------------------------------------------------------


def _read(cursor: Any, search: Search) -> Found:
    """The rows of a cursor's result; of a pipeline's there is none yet."""
    result = cursor.pgresult
    if result is None:
        return Found([], attributes={"spanreel.documents_unread": True})
    return Found(_documents(cursor, search, MOST), result.ntuples)


def _documents(cursor: Any, search: Search, most: int) -> list[Document]:
    """Rows of the result that a cursor holds, less their vectors, through loaders of our own."""
    from psycopg.adapt import Transformer

    result = cursor.pgresult
    own = Transformer(cursor)
    columns = []
    for number in range(result.nfields):
        kind = cursor.adapters.types.get(result.ftype(number))
        if kind is None or kind.name not in VECTORS:
            load = own.get_loader(result.ftype(number), result.fformat(number)).load
            columns.append((number, (result.fname(number) or b"").decode(), load))
    found = []
    for row in range(min(result.ntuples, most)):
        cells = ((name, load, result.get_value(row, number)) for number, name, load in columns)
        fields = {name: None if data is None else load(data) for name, load, data in cells}
        found.append(row_document(fields, search))
    return found


def row_document(fields: dict[str, Any], search: Search) -> Document:
    """A row as a document: by the names of its columns."""
    fields = {name: value for name, value in fields.items() if vector_sql.size_of(value) is None}
    key, score, distance, rest = vector_sql.read_row(fields, search)
    content, metadata = split(rest)
    return document(key, content, metadata, score=score, distance=distance)


# -- rows that come later ---------------------------------------------------------------------------


class _Fetching:
    """A search whose rows are fetched bit by bit: its span, and the documents so far."""

    __slots__ = ("_documents", "_seen", "_total", "search", "span")

    def __init__(self, span: Span, search: Search) -> None:
        self.span = span
        self.search = search
        self._documents: list[Document] = []
        self._total = 0
        self._seen: Any = None

    def note(self, cursor: Any) -> None:
        """Take the rows of the result that the cursor holds now, once."""
        with guard("instruments.psycopg.note"):
            result = cursor.pgresult
            if result is not None and result is not self._seen:
                self._seen = result
                self._total += result.ntuples
                self._documents += _documents(cursor, self.search, MOST - len(self._documents))

    def end(self, error: BaseException | None = None) -> None:
        """End the span; only the first call counts."""
        self._seen = None
        if error is not None and not isinstance(error, GeneratorExit):
            self.span.finish(error=error)
        finish(self.span, lambda _result: Found(self._documents, self._total), None)

    def __del__(self) -> None:
        self.end()


def _begin(cursor: Any, found: tuple[str, Any] | None) -> _Fetching | None:
    search = None if found is None else _search(found)
    if search is None or found is None:
        return None
    span = start(SYSTEM, _ask(cursor, search, found))
    return _Fetching(span, search) if span.recording else None


def _declare(patches: Patches, kind: Any) -> None:
    original = vars(kind)["execute"]

    @functools.wraps(original)
    def execute(cursor: Any, *args: Any, **kwargs: Any) -> Any:
        _end(cursor)
        fetching = _begin(cursor, _statement(cursor, args, kwargs)) if patches.on else None
        if fetching is None:
            return original(cursor, *args, **kwargs)
        try:
            result = original(cursor, *args, **kwargs)
        except BaseException as error:
            fetching.end(error)
            raise
        _open[cursor] = fetching
        return result

    patches.replace(kind, "execute", execute)


def _declare_async(patches: Patches, kind: Any) -> None:
    original = vars(kind)["execute"]

    @functools.wraps(original)
    async def execute(cursor: Any, *args: Any, **kwargs: Any) -> Any:
        _end(cursor)
        fetching = _begin(cursor, _statement(cursor, args, kwargs)) if patches.on else None
        if fetching is None:
            return await original(cursor, *args, **kwargs)
        try:
            result = await original(cursor, *args, **kwargs)
        except BaseException as error:
            fetching.end(error)
            raise
        _open[cursor] = fetching
        return result

    patches.replace(kind, "execute", execute)


def _end(cursor: Any) -> None:
    with guard("instruments.psycopg.end"):
        fetching = _open.pop(cursor, None) if _open else None
        if fetching is not None:
            fetching.end()


def _fetch(patches: Patches, kind: Any) -> None:
    """Watch the generator that every fetch of a server-side cursor goes through."""
    original = getattr(kind, "_fetch_gen", None)
    if original is None:
        return

    def fetch(cursor: Any, number: int | None) -> Any:
        rows = yield from original(cursor, number)
        fetching = _open.get(cursor) if _open else None
        if fetching is not None:
            fetching.note(cursor)
            if number is None or len(rows) < number:
                _end(cursor)
        return rows

    patches.replace(kind, "_fetch_gen", functools.wraps(original)(fetch))


def _close(patches: Patches, kind: Any) -> None:
    def hook(wrapped: Any, cursor: Any, args: Any, kwargs: Any) -> Any:
        _end(cursor)
        return wrapped(*args, **kwargs)

    patches.wrap(kind, "close", hook)


def _stream(patches: Patches, kind: Any) -> None:
    original = vars(kind)["stream"]

    def watched(cursor: Any, found: Any, rows: Iterator[Any]) -> Iterator[Any]:
        fetching = _begin(cursor, found)
        failed: BaseException | None = None
        try:
            for row in rows:
                if fetching is not None:
                    fetching.note(cursor)
                yield row
        except BaseException as error:
            failed = error
            raise
        finally:
            rows.close()  # type: ignore[attr-defined]  # a generator
            if fetching is not None:
                fetching.end(failed)

    @functools.wraps(original)
    def stream(cursor: Any, *args: Any, **kwargs: Any) -> Any:
        found = _statement(cursor, args, kwargs) if patches.on else None
        rows = original(cursor, *args, **kwargs)
        return rows if found is None else watched(cursor, found, rows)

    patches.replace(kind, "stream", stream)


def _stream_async(patches: Patches, kind: Any) -> None:
    original = vars(kind)["stream"]

    async def watched(cursor: Any, found: Any, rows: AsyncIterator[Any]) -> AsyncIterator[Any]:
        fetching = _begin(cursor, found)
        failed: BaseException | None = None
        try:
            async for row in rows:
                if fetching is not None:
                    fetching.note(cursor)
                yield row
        except BaseException as error:
            failed = error
            raise
        finally:
            await rows.aclose()  # type: ignore[attr-defined]  # a generator
            if fetching is not None:
                fetching.end(failed)

    @functools.wraps(original)
    def stream(cursor: Any, *args: Any, **kwargs: Any) -> Any:
        found = _statement(cursor, args, kwargs) if patches.on else None
        rows = original(cursor, *args, **kwargs)
        return rows if found is None else watched(cursor, found, rows)

    patches.replace(kind, "stream", stream)
