"""rank_bm25: `get_top_n` and `get_scores`. Ids are places in the corpus; scores are BM25's, higher is better.

`get_top_n` returns documents only: their scores are those that it asks `get_scores` for, seen on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spanreel import context as contexts
from spanreel.documents import MOST, adapt
from spanreel.guard import guard
from spanreel.instruments.patching import Patches, named, parameters
from spanreel.instruments.retrieval import Found, Query, document, inside, observe

if TYPE_CHECKING:
    from types import ModuleType

SYSTEM = "rank_bm25"
BEST = 20
"""Documents kept of `get_scores`, which has a score for each of the corpus."""

_scores: dict[bytes, Any] = {}
"""What the `get_scores` inside of a `get_top_n` returned, by the latter's span."""


def install(module: ModuleType) -> Callable[[], None]:
    """Wrap the methods of the base class and of every variant of `rank_bm25`."""
    patches = Patches()
    names = parameters(module.BM25.get_top_n)
    for kind in {kind for kind in vars(module).values() if isinstance(kind, type)}:
        if not issubclass(kind, module.BM25):
            continue
        if "get_top_n" in vars(kind):
            patches.wrap(kind, "get_top_n", _top_n(names))
        for method in ("get_scores", "get_batch_scores"):
            if method in vars(kind):
                patches.wrap(kind, method, _all_scores(method))
    return patches.undo


def _top_n(names: tuple[str, ...]) -> Any:
    def hook(wrapped: Any, index: Any, args: Any, kwargs: Any) -> Any:
        given = named(names, args, kwargs)
        span: list[bytes] = []

        def call() -> Any:
            span.append(_current())
            return wrapped(*args, **kwargs)

        def read(result: Any) -> Found:
            return _best(_scores.get(span[0]), given, result)

        try:
            return observe(SYSTEM, call, lambda: _ask("get_top_n", index, given), read)
        finally:
            for key in span:
                _scores.pop(key, None)

    return hook


def _current() -> bytes:
    above = contexts.current().get(contexts.SPAN_KEY)
    return b"" if above is None else bytes(above.span)


def _all_scores(method: str) -> Any:
    def hook(wrapped: Any, index: Any, args: Any, kwargs: Any) -> Any:
        if inside() == SYSTEM:
            scores = wrapped(*args, **kwargs)
            with guard("instruments.bm25"):
                _scores[_current()] = scores
            return scores
        given = named(("query", "doc_ids"), args, kwargs)
        return observe(
            SYSTEM,
            lambda: wrapped(*args, **kwargs),
            lambda: _ask(method, index, given),
            lambda scores: _ranked(scores, given.get("doc_ids")),
        )

    return hook


def _ask(method: str, index: Any, given: dict[str, Any]) -> Query:
    query = given.get("query")
    words = isinstance(query, (list, tuple)) and all(isinstance(word, str) for word in query)
    return Query(
        operation=method,
        text=" ".join(query) if words and query is not None else query,
        top_k=given.get("n", 5) if method == "get_top_n" else None,
        score_kind="score",
        attributes={
            "spanreel.index_type": type(index).__name__,
            "spanreel.index_size": getattr(index, "corpus_size", None),
        },
    )


def _best(scores: Any, given: dict[str, Any], result: list[Any]) -> Found:
    """The documents of `get_top_n`, with place and score by the same sort that it does."""
    ranked: list[tuple[Any, Any]] = [(None, None)] * len(result)
    if scores is not None:
        ranked = [(place, scores[place]) for place in scores.argsort()[::-1][: given.get("n", 5)].tolist()]
    found = []
    for (place, score), item in zip(ranked[:MOST], result, strict=False):
        content, metadata = _told(item)
        found.append(document(place, content, metadata, score=score))
    return Found(found, len(result))


def _told(item: Any) -> tuple[Any, Any]:
    """Text and metadata of a document of the caller's: text, its words, or an object that has them."""
    if isinstance(item, (list, tuple)) and all(isinstance(word, str) for word in item):
        return " ".join(item), None
    known = None if isinstance(item, str) else adapt(item)
    return (known[0]["content"], known[0]["metadata"]) if known else (item, None)


def _ranked(scores: Any, places: Any) -> Found:
    """The best of a whole corpus's scores; those of a plain list (`get_batch_scores`) by their own places."""
    values = scores.tolist() if hasattr(scores, "tolist") else list(scores)
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)[:BEST]
    keys = list(places) if places is not None else range(len(values))
    return Found([document(keys[place], None, score=values[place]) for place in order], len(values))
