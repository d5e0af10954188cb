"""weaviate-client v4: the queries of a collection (`query` and `generate`), sync and async.

What comes back with an object depends on the `return_metadata` that was asked for. A distance is one; the
certainty of a near query and the score of bm25 and hybrid are scores. The metric is the collection's, and is
not told by a query.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from spanreel.documents import MOST, Document
from spanreel.instruments.patching import Patches, named, parameters
from spanreel.instruments.retrieval import Found, Query, dimensions, document, observe, observe_async, split

if TYPE_CHECKING:
    from types import ModuleType

SYSTEM = "weaviate"
QUERIES = (
    "near_text", "near_vector", "near_object", "near_image", "near_media", "bm25", "hybrid", "fetch_objects",
)  # fmt: skip
TOLD = ("certainty", "score", "rerank_score")


def install(module: ModuleType) -> Callable[[], None]:
    """Wrap the query classes of `weaviate.collections.query` or `.generate`."""
    patches = Patches()
    for name in ("_QueryCollection", "_GenerateCollection"):
        for kind in (getattr(module, name, None), getattr(module, f"{name}Async", None)):
            for method in QUERIES if kind is not None else ():
                _wrap(patches, kind, method, generates="Generate" in name)
    return patches.undo


def _wrap(patches: Patches, kind: Any, name: str, *, generates: bool) -> None:
    if not hasattr(kind, name):
        return
    names = parameters(getattr(kind, name))

    def hook(wrapped: Any, collection: Any, args: Any, kwargs: Any) -> Any:
        def ask() -> Query:
            return _ask(name, collection, named(names, args, kwargs))

        read = _read_generated if generates else _read
        if not kind.__name__.endswith("Async"):
            return observe(SYSTEM, lambda: wrapped(*args, **kwargs), ask, read)
        result = wrapped(
            *args, **kwargs
        )  # not a coroutine function: what is wrong with a call is raised here
        return observe_async(SYSTEM, lambda: result, ask, read) if isinstance(result, Awaitable) else result

    patches.wrap(kind, name, hook)


def _ask(name: str, collection: Any, given: dict[str, Any]) -> Query:
    near = name.startswith("near_")
    vector = given.get("near_vector" if name == "near_vector" else "vector")
    return Query(
        source=getattr(collection, "_name", None),
        operation=name,
        text=given.get("query"),
        vector=_dimensions(vector),
        top_k=given.get("limit"),
        filter=_filter(given.get("filters")),
        score_kind="distance" if near else "score",
        attributes={
            "spanreel.query_id": str(given["near_object"]) if given.get("near_object") is not None else None,
            "spanreel.hybrid_alpha": given.get("alpha"),
            "db.namespace": getattr(collection, "_tenant", None),
        },
    )


def _dimensions(vector: Any) -> int | None:
    if isinstance(vector, dict):  # one per target vector
        return next((size for size in map(dimensions, vector.values()) if size is not None), None)
    inner = getattr(vector, "vector", None)  # HybridVector.near_vector(...)
    return dimensions(vector if inner is None or callable(inner) else inner)


def _filter(value: Any) -> Any:
    """A filter as data: `{operator, target, value}`, or `{operator, filters}`."""
    if value is None:
        return None
    operator = getattr(value, "operator", None)
    told = getattr(operator, "value", operator)
    inner = getattr(value, "filters", None)
    if inner is not None:
        return {"operator": told, "filters": [_filter(item) for item in inner]}
    if operator is None:
        return value
    target = getattr(value, "target", None)
    return {
        "operator": told,
        "target": target if isinstance(target, str) else getattr(target, "link_on", None) or str(target),
        "value": getattr(value, "value", None),
    }


def _read(result: Any) -> Found | None:
    objects = getattr(result, "objects", None)
    if objects is None:
        return None
    found = [_document(item) for item in objects[:MOST]]
    scored = any(document["score"] is not None for document in found)
    return Found(found, len(objects), {"spanreel.score_kind": "score"} if scored else {})


def _read_generated(result: Any) -> Found | None:
    found = _read(result)
    if found is not None:
        group = _generated(result)
        each = [_generated(item) for item in result.objects[:MOST]]
        found.output = group if group is not None else [text for text in each if text is not None] or None
    return found


def _generated(item: Any) -> str | None:
    told = getattr(item, "generative", None)
    text = getattr(told, "text", None)
    return text if isinstance(text, str) else None


def _document(item: Any) -> Document:
    content, metadata = split(item.properties)
    told = item.metadata
    scores = {name: getattr(told, name, None) for name in TOLD}
    score = next((value for value in scores.values() if value is not None), None)
    extra = {name: value for name, value in scores.items() if value is not None and value is not score}
    return document(
        str(item.uuid), content, {**metadata, **extra}, score=score, distance=getattr(told, "distance", None)
    )
