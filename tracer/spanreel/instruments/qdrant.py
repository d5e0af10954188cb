"""qdrant-client: every query method, local, over HTTP and gRPC, sync and async.

What qdrant calls a score is a distance (smaller is better) in collections of Euclid and Manhattan. A local
client knows its collection's distance; of a server's it is told by the order, since the best comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from spanreel.documents import MOST, Document
from spanreel.instruments.patching import Patches, named, parameters
from spanreel.instruments.retrieval import (
    Found,
    Query,
    dimensions,
    document,
    observe,
    observe_async,
    plain,
    split,
)

if TYPE_CHECKING:
    from types import ModuleType

SYSTEM = "qdrant"
QUERIES = ("query_points", "query_points_groups", "query_batch_points", "query", "query_batch")
BEFORE_1_16 = ("search", "search_batch", "search_groups", "recommend", "recommend_groups", "discover")
DISTANCES = frozenset({"Euclid", "Manhattan"})
_QUERY_NAMES = ("query", "query_vector", "target", "vector")


def install(module: ModuleType) -> Callable[[], None]:
    """Wrap the query methods of both clients of `qdrant_client`."""
    patches = Patches()
    for name in (*QUERIES, *BEFORE_1_16):
        _wrap(patches, module.QdrantClient, name, observe)
        _wrap(patches, module.AsyncQdrantClient, name, observe_async)
    return patches.undo


def _wrap(patches: Patches, kind: Any, name: str, watch: Any) -> None:
    if not hasattr(kind, name):
        return
    names = parameters(getattr(kind, name))

    def hook(wrapped: Any, client: Any, args: Any, kwargs: Any) -> Any:
        given = named(names, args, kwargs)
        metric: list[str | None] = [None]

        def ask() -> Query:
            metric[0] = _local_metric(client, given)
            return _ask(name, given, metric[0])

        return watch(SYSTEM, lambda: wrapped(*args, **kwargs), ask, lambda result: _read(result, metric[0]))

    patches.wrap(kind, name, hook)


def _ask(name: str, given: dict[str, Any], metric: str | None) -> Query:
    requests = given.get("requests")
    first: Any = given
    asked = [given]
    if isinstance(requests, (list, tuple)):
        asked = [_fields(request) for request in requests]
        first = asked[0] if asked else {}
    queries = [_query_of(request) for request in asked]
    texts = given.get("query_texts") or ([given["query_text"]] if given.get("query_text") else [])
    texts = list(texts) or [text for query in queries for text in _texts(query)]
    texts = texts or _texts(first.get("prefetch"))
    vectors = (dimensions(_vector(query)) for query in (*queries, first.get("prefetch")))
    return Query(
        source=str(given.get("collection_name")),
        operation=name,
        text=texts[0] if len(texts) == 1 else texts or None,
        vector=next((size for size in vectors if size is not None), None),
        queries=max(len(queries), len(given.get("query_texts") or ())),
        top_k=first.get("limit", 10),
        filter=plain(first.get("query_filter", first.get("filter"))),
        metric=metric,
        attributes={
            "spanreel.score_threshold": first.get("score_threshold"),
            "spanreel.vector_name": first.get("using"),
            "spanreel.query_id": _id_of(queries[0] if queries else None, given.get("positive")),
        },
    )


def _fields(request: Any) -> dict[str, Any]:
    return request if isinstance(request, dict) else dict(vars(request))


def _query_of(given: dict[str, Any]) -> Any:
    return next((given[name] for name in _QUERY_NAMES if given.get(name) is not None), None)


def _id_of(query: Any, positive: Any) -> Any:
    """The stored point, or points, that a query starts from: a number or a UUID, where it is no vector."""
    if isinstance(query, (int, str)):
        return str(query)
    ids = isinstance(positive, (list, tuple)) and all(isinstance(item, (int, str)) for item in positive)
    return [str(item) for item in positive] if ids and positive is not None else None


def _texts(query: Any) -> list[str]:
    """The texts that a query, or what it is made of, asks with; a plain string is a point's id."""
    if query is None or isinstance(query, (str, int, float)):
        return []
    if isinstance(query, (list, tuple)):
        if query and isinstance(query[0], (int, float)):
            return []
        return [text for inner in query for text in _texts(inner)]
    text = getattr(query, "text", None)
    if isinstance(text, str):
        return [text]
    for name in ("nearest", "query", "recommend", "positive", "target", "prefetch"):
        found = _texts(getattr(query, name, None))
        if found:
            return found
    return []


def _vector(query: Any) -> Any:
    """The vector inside a query: a list, an array, a sparse one's values."""
    if isinstance(query, tuple) and len(query) == 2 and isinstance(query[0], str):  # (name, vector)
        return query[1]
    if isinstance(query, (list, tuple)) and query and not isinstance(query[0], (int, float, list)):
        return next((found for found in map(_vector, query) if found is not None), None)
    if isinstance(query, (list, tuple)) or getattr(query, "shape", None):
        return query
    for name in ("nearest", "vector", "values", "query", "recommend", "positive", "target", "prefetch"):
        inner = getattr(query, name, None)
        if inner is not None and not callable(inner):
            return _vector(inner)
    return None


def _local_metric(client: Any, given: dict[str, Any]) -> str | None:
    """The distance of a collection in this process; None for one on a server, which is not asked."""
    collections = getattr(getattr(client, "_client", None), "collections", None)
    collection = collections.get(given.get("collection_name")) if isinstance(collections, dict) else None
    vectors = getattr(getattr(collection, "config", None), "vectors", None)
    if isinstance(vectors, dict):
        vectors = (
            vectors.get(given.get("using")) if given.get("using") else next(iter(vectors.values()), None)
        )
    distance = getattr(vectors, "distance", None)
    return None if distance is None else str(getattr(distance, "value", distance))


def _read(result: Any, metric: str | None) -> Found:
    lists = _lists(result)
    several = isinstance(result, list) and bool(result) and not hasattr(result[0], "score")
    order = _order(lists)
    distance = order > 0 or (order == 0 and metric in DISTANCES)
    found: list[Document] = []
    for number, points in enumerate(lists):
        query = number if several else None
        found += [_point(point, distance=distance, query=query) for point in points[: MOST - len(found)]]
    similar = metric is not None and metric not in DISTANCES
    kind = "distance" if distance else "similarity" if similar else "score"
    return Found(found, sum(map(len, lists)), {"spanreel.score_kind": kind})


def _lists(result: Any) -> list[Sequence[Any]]:
    """The points of each query: of a response, a list of points, groups, or a list of responses."""
    if hasattr(result, "points"):
        return [result.points]
    if hasattr(result, "groups"):
        return [group.hits for group in result.groups]
    if isinstance(result, list) and result and not hasattr(result[0], "score"):
        return [points for inner in result for points in _lists(inner)]
    return [result] if isinstance(result, list) else []


def _order(lists: list[Sequence[Any]]) -> int:
    """1 where the numbers rise (a distance), -1 where they fall (a score, as of a fusion), 0 if neither."""
    for points in lists:
        if len(points) > 1 and points[0].score != points[-1].score:
            return 1 if points[0].score < points[-1].score else -1
    return 0


def _point(point: Any, *, distance: bool, query: int | None) -> Document:
    payload = getattr(point, "payload", None)
    if payload is None:  # fastembed's own response has document and metadata
        payload = {"document": getattr(point, "document", None), "metadata": getattr(point, "metadata", None)}
    content, metadata = split(payload)
    score = point.score
    return document(
        point.id,
        content,
        metadata,
        score=None if distance else score,
        distance=score if distance else None,
        query=query,
    )
