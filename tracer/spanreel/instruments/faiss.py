"""faiss: `search` of every index class. Ids, and scores or distances by the index's metric; no content.

A place without a neighbour (id -1) is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spanreel.documents import MOST, Document
from spanreel.instruments.patching import Patches, named, parameters
from spanreel.instruments.retrieval import Found, Query, document, observe

if TYPE_CHECKING:
    from types import ModuleType

SYSTEM = "faiss"
QUERIES = ("search", "search_and_reconstruct", "range_search")
METRICS = {
    0: "inner_product", 1: "l2", 2: "l1", 3: "linf", 4: "lp", 20: "canberra", 21: "bray_curtis",
    22: "jensen_shannon", 23: "jaccard",
}  # fmt: skip
"""`faiss::MetricType`; inner product and jaccard are similarities."""
SIMILARITIES = frozenset({"inner_product", "jaccard"})


def install(module: ModuleType) -> Callable[[], None]:
    """Wrap the search methods of every index class of `faiss`."""
    patches = Patches()
    for kind in {kind for kind in vars(module).values() if isinstance(kind, type)}:
        for name in QUERIES:
            if name in vars(kind) and kind.__name__.startswith("Index"):
                _wrap(patches, kind, name)
    return patches.undo


def _wrap(patches: Patches, kind: Any, name: str) -> None:
    names = parameters(getattr(kind, name))

    def hook(wrapped: Any, index: Any, args: Any, kwargs: Any) -> Any:
        metric: list[str] = [""]

        def ask() -> Query:
            metric[0] = _metric(index)
            return _ask(name, index, named(names, args, kwargs), metric[0])

        return observe(
            SYSTEM, lambda: wrapped(*args, **kwargs), ask, lambda result: _read(name, result, metric[0])
        )

    patches.wrap(kind, name, hook)


def _metric(index: Any) -> str:
    if type(index).__name__.startswith("IndexBinary"):
        return "hamming"
    return METRICS.get(int(index.metric_type), str(index.metric_type))


def _ask(name: str, index: Any, given: dict[str, Any], metric: str) -> Query:
    return Query(
        operation=name,
        vector=int(index.d),
        queries=int(given["x"].shape[0]),
        top_k=given.get("k"),
        metric=metric,
        score_kind="similarity" if metric in SIMILARITIES else "distance",
        attributes={
            "spanreel.index_type": type(index).__name__,
            "spanreel.index_size": int(index.ntotal),
            "spanreel.range": given.get("thresh"),
        },
    )


def _read(name: str, result: Any, metric: str) -> Found:
    if name == "range_search":
        limits, numbers, ids = result
        rows = [
            (query, numbers[limits[query] : limits[query + 1]], ids[limits[query] : limits[query + 1]])
            for query in range(min(len(limits) - 1, MOST))
        ]
    else:
        numbers, ids = result[0], result[1]
        rows = [(query, numbers[query], ids[query]) for query in range(min(len(ids), MOST))]
    found: list[Document] = []
    similar = metric in SIMILARITIES
    for query, values, keys in rows:
        for value, key in zip(values[:MOST].tolist(), keys[:MOST].tolist(), strict=True):
            if key >= 0 and len(found) < MOST:
                score, distance = (value, None) if similar else (None, value)
                which = query if len(rows) > 1 else None
                found.append(document(key, None, score=score, distance=distance, query=which))
    return Found(found, int((ids >= 0).sum()))
