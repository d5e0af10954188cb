"""What every vector store's hook does: a query becomes a retrieval span with its documents.

A hook says how its library's arguments tell the query, and how its result tells the documents. The library's
call stands outside of every guard; what it returns is looked at and handed on, never consumed.

`score` is always "higher is better". What a store calls a distance stays one: it is kept in each document's
metadata as `distance`, and the span says so (`spanreel.score_kind`, `spanreel.distance_metric`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from spanreel import context as contexts
from spanreel import recorder as recorders
from spanreel.documents import CONTENT, METADATA, MOST, VECTORS, Document, entry, number
from spanreel.guard import guard
from spanreel.spans import NOOP, Span

ScoreKind = Literal["score", "similarity", "distance"]

_running: dict[bytes, str] = {}
"""Span id -> store, of queries under way: what a store calls of its own below one is not recorded again."""


@dataclass(slots=True, kw_only=True)
class Query:
    """One query as its caller put it. Texts, filters and vectors as they were given."""

    source: str | None = None
    """The collection, index or table: `gen_ai.data_source.id`."""
    operation: str = "query"
    text: Any = None
    vector: int | None = None
    """How many dimensions the query's vector has."""
    queries: int = 1
    top_k: Any = None
    filter: Any = None
    statement: str | None = None
    """The query in the store's own language, where it has one."""
    metric: str | None = None
    score_kind: ScoreKind | None = None
    kind: str = "retrieval"
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Found:
    """What a query found, and what only the result tells about the query."""

    documents: list[Document]
    total: int | None = None
    """How many there were, where more than `MOST`."""
    attributes: dict[str, Any] = field(default_factory=dict)
    output: Any = None


Ask = Callable[[], Query | None]
Read = Callable[[Any], Found | list[Document] | None]


def observe(system: str, call: Callable[[], Any], ask: Ask, read: Read) -> Any:
    """Run `call` as a retrieval span: `ask` tells the query before, `read` the documents after.

    `system` is the store, as in `db.system.name`.
    """
    span, token = _enter(system, ask)
    if token is None:
        return call()
    try:
        result = call()
    except BaseException as error:
        _leave(span, token)
        span.finish(error=error)
        raise
    _leave(span, token)
    finish(span, read, result)
    return result


async def observe_async(system: str, call: Callable[[], Awaitable[Any]], ask: Ask, read: Read) -> Any:
    """`observe` for what is awaited."""
    span, token = _enter(system, ask)
    if token is None:
        return await call()
    try:
        result = await call()
    except BaseException as error:
        _leave(span, token)
        span.finish(error=error)
        raise
    _leave(span, token)
    finish(span, read, result)
    return result


def start(system: str, ask: Ask) -> Span:
    """Open the span of a query without making it current; `NOOP` where it is not recorded.

    A query that cannot be told (a library that has changed) is recorded all the same, without its details.
    """
    with guard("instruments.start"):
        recorder = recorders.active()
        if recorder is not None and inside() != system:
            query: Query | None = Query()
            with guard("instruments.ask"):
                query = ask()
            if query is not None:
                return _start(system, query, recorder)
    return NOOP


def inside() -> str:
    """The store whose query is the current span."""
    above = contexts.current().get(contexts.SPAN_KEY)
    return "" if above is None else _running.get(above.span, "")


def finish(span: Span, read: Read, result: Any) -> None:
    """End a span with what its query found."""
    with guard("instruments.read"):
        found = read(result)
        if isinstance(found, list):
            found = Found(found)
        if found is not None:
            _tell(span, found)
    span.finish(status="ok")


def _enter(system: str, ask: Ask) -> tuple[Span, Any]:
    span = start(system, ask)
    if not span.recording:
        return span, None
    _running[span.span] = system
    return span, contexts.attach(span, otel=span._recorder.shows_otel())  # noqa: SLF001


def _leave(span: Span, token: Any) -> None:
    _running.pop(span.span, None)
    contexts.detach(token)


def _start(system: str, query: Query, recorder: recorders.Recorder) -> Span:
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "rerank" if query.kind == "rerank" else query.kind,
        "gen_ai.data_source.id": query.source,
        "gen_ai.retrieval.top_k": query.top_k,
        "db.system.name": system,
        "db.operation.name": query.operation,
        "db.collection.name": query.source,
        "spanreel.query_dimensions": query.vector,
        "spanreel.queries": query.queries if query.queries > 1 else None,
        "spanreel.score_kind": query.score_kind,
        "spanreel.distance_metric": query.metric,
        **query.attributes,
    }
    text = b""
    if recorder.full:
        vector = None if query.vector is None else {"dimensions": query.vector}
        given = {"query": query.text, "vector": vector, "top_k": query.top_k, "filter": query.filter}
        text = recorder.capture({key: value for key, value in given.items() if value is not None})
        attributes["gen_ai.retrieval.query.text"] = query.text
        attributes["spanreel.retrieval.filter"] = query.filter
        attributes["db.query.text"] = query.statement
    return recorders.start(
        f"{query.kind} {query.source or system}",
        query.kind,
        attributes={key: value for key, value in attributes.items() if value is not None},
        input_json=text,
    )


def _tell(span: Span, found: Found) -> None:
    recorder = span._recorder  # noqa: SLF001 - as calls.py does: the span's own recorder decides
    total = len(found.documents) if found.total is None else found.total
    if recorder.full:
        span.set_attribute("spanreel.documents", found.documents[:MOST])
        if found.output is not None:
            span.set_output(found.output)
    span.set_attribute("spanreel.document_count", total)
    if total > MOST:
        recorder.loss("capture_truncated")
    span.set_attributes({key: value for key, value in found.attributes.items() if value is not None})


def document(
    key: Any,
    content: Any,
    metadata: Any = None,
    *,
    score: Any = None,
    distance: Any = None,
    query: int | None = None,
) -> Document:
    """One document; `query` is which of several queries found it."""
    told = dict(islice(metadata.items(), _FIELDS)) if isinstance(metadata, dict) else {}
    if distance is not None:
        told["distance"] = number(distance)
    if query is not None:
        told["query"] = query
    return entry(key, score, content, told)


_FIELDS = 64


def dimensions(vector: Any) -> int | None:
    """How many numbers a vector has, whatever holds it; of the first one, where there are several."""
    shape = getattr(vector, "shape", None)
    if isinstance(shape, tuple) and shape:
        return int(shape[-1])
    if not isinstance(vector, (list, tuple)) or not vector:
        return None
    first = vector[0]
    if isinstance(first, (list, tuple)) or getattr(first, "shape", None):
        return dimensions(first)
    return len(first) if hasattr(first, "__len__") and not isinstance(first, str) else len(vector)


def plain(value: Any) -> Any:
    """A filter as plain data: what a library's model says of itself, less what was not set."""
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json", exclude_none=True, by_alias=True)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def split(fields: Any, *, used: tuple[str, ...] = ()) -> tuple[str | None, dict[str, Any]]:
    """Tell a record's text from the rest: by the field's usual name, else its longest piece of prose.

    Fields in `used` (ids, scores, vectors) belong to neither. A `metadata` dictionary inside is opened.
    """
    if not isinstance(fields, dict):
        return None, {}
    rest = {
        key: value
        for key, value in islice(fields.items(), _FIELDS)
        if isinstance(key, str) and key not in used and key not in VECTORS and value is not None
    }
    name = next((name for name in TEXTS if isinstance(rest.get(name), str)), None)
    if name is None:
        prose = [key for key, value in rest.items() if isinstance(value, str) and " " in value.strip()]
        name = max(prose, key=lambda key: len(rest[key]), default=None)
    content = None if name is None else rest.pop(name)
    for key in METADATA:
        if isinstance(rest.get(key), dict):
            rest = {**rest.pop(key), **rest}
            break
    return content, rest


TEXTS = (*CONTENT, "chunk_text", "page_text", "raw_text", "passage_text", "snippet", "description", "summary")
"""Fields that hold a record's text, the likeliest first."""
