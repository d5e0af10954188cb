"""chromadb: `Collection.query` and `search`, in-process and over HTTP, sync and async.

The distances of `query` depend on the collection's space (squared l2, cosine, ip); smaller is better in all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spanreel.documents import MOST, Document
from spanreel.instruments.patching import Patches, named, parameters
from spanreel.instruments.retrieval import Found, Query, dimensions, document, observe, observe_async

if TYPE_CHECKING:
    from types import ModuleType

SYSTEM = "chroma"
SPACES = ("hnsw", "spann")


def install(module: ModuleType) -> Callable[[], None]:
    """Wrap the collection class of `chromadb.api.models.Collection` or `.AsyncCollection`."""
    patches = Patches()
    kind = getattr(module, "AsyncCollection", None)
    watch: Callable[..., Any] = observe if kind is None else observe_async
    kind = kind or module.Collection
    for name, ask, read in (("query", _query, _rows), ("search", _search, _rows)):
        _wrap(patches, kind, name, watch, ask, read)
    return patches.undo


def _wrap(patches: Patches, kind: Any, name: str, watch: Any, ask: Any, read: Any) -> None:
    names = parameters(getattr(kind, name, None))

    def hook(wrapped: Any, collection: Any, args: Any, kwargs: Any) -> Any:
        return watch(
            SYSTEM,
            lambda: wrapped(*args, **kwargs),
            lambda: ask(collection, named(names, args, kwargs)),
            read,
        )

    patches.wrap(kind, name, hook)


def _query(collection: Any, given: dict[str, Any]) -> Query:
    texts: Any = given.get("query_texts", given.get("query_uris"))
    vectors = given.get("query_embeddings")
    where = {name: given[name] for name in ("where", "where_document", "ids") if given.get(name)}
    listed = isinstance(texts, (list, tuple))
    return Query(
        source=collection.name,
        text=texts[0] if listed and len(texts) == 1 else texts,
        vector=dimensions(vectors),
        queries=len(texts) if listed else _count(vectors),
        top_k=given.get("n_results", 10),
        filter=where.get("where") if list(where) == ["where"] else where or None,
        score_kind="distance",
        metric=_space(collection),
    )


def _count(vectors: Any) -> int:
    """How many vectors these are: one may stand by itself."""
    shape = getattr(vectors, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) > 1 else 1
    several = isinstance(vectors, (list, tuple)) and vectors and hasattr(vectors[0], "__len__")
    return len(vectors) if several else 1


def _space(collection: Any) -> str | None:
    """The distance that the collection was made with, as its own record says; nothing is asked for it."""
    # what the property `configuration` would build objects of
    configuration = getattr(getattr(collection, "_model", None), "configuration_json", None) or {}
    for index in SPACES:
        space = (configuration.get(index) or {}).get("space")
        if space:
            return str(space)
    told = (collection.metadata or {}).get("hnsw:space")
    return None if told is None else str(told)


def _search(collection: Any, given: dict[str, Any]) -> Query:
    searches = given.get("searches")
    listed = list(searches) if isinstance(searches, (list, tuple)) else [searches]
    told: list[dict[str, Any]] = [search.to_dict() for search in listed if search is not None]
    first: dict[str, Any] = told[0] if told else {}
    texts = [query for search in told for query in _knn(search.get("rank")) if isinstance(query, str)]
    vectors = [query for search in told for query in _knn(search.get("rank")) if isinstance(query, list)]
    return Query(
        source=collection.name,
        operation="search",
        text=texts[0] if len(texts) == 1 else texts or None,
        vector=dimensions(vectors),
        queries=len(told),
        top_k=(first.get("limit") or {}).get("limit"),
        filter=first.get("filter", first.get("where")) or None,
        score_kind="distance",
        metric=_space(collection),
    )


def _knn(rank: Any) -> list[Any]:
    """The queries inside a ranking expression."""
    if isinstance(rank, dict):
        if isinstance(rank.get("$knn"), dict):
            return [rank["$knn"].get("query")]
        return [query for inner in rank.values() for query in _knn(inner)]
    return [query for inner in rank for query in _knn(inner)] if isinstance(rank, list) else []


def _rows(result: Any) -> Found:
    """The columns of a result, one list per query, as documents."""
    ids = result["ids"]
    columns = {name: result.get(name) for name in ("documents", "metadatas", "distances", "scores")}
    found: list[Document] = []
    for query, keys in enumerate(ids):
        here = {name: _at(column, query) for name, column in columns.items()}
        for row, key in enumerate(keys[: MOST - len(found)]):
            distance = _at(here["distances"], row)
            found.append(
                document(
                    key,
                    _at(here["documents"], row),
                    _at(here["metadatas"], row),
                    distance=distance if distance is not None else _at(here["scores"], row),
                    query=query if len(ids) > 1 else None,
                )
            )
    return Found(found, sum(len(keys) for keys in ids))


def _at(column: Any, place: int) -> Any:
    return column[place] if column is not None and place < len(column) else None
