"""lancedb: every query builder where it runs, sync and async, local and remote.

`to_list`, `to_pandas`, `to_polars` and `to_pydantic` all go through `to_arrow`, which is what is seen. A
reader that `to_batches` returns is read by its owner: its query is recorded, its documents are not.
`_distance` is a distance (l2 unless said), `_score` and `_relevance_score` are scores.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spanreel.documents import IDS, MOST
from spanreel.instruments.patching import Patches
from spanreel.instruments.retrieval import Found, Query, dimensions, document, observe, observe_async, split

if TYPE_CHECKING:
    from types import ModuleType

SYSTEM = "lancedb"
SCORES = ("_relevance_score", "_score")
TEXTS = ("_str_query", "_text", "_query")
SEARCHES = re.compile("Vector|FTS|Fts|Hybrid")
DEFAULT_LIMIT = 10


def install(module: ModuleType) -> Callable[[], None]:
    """Wrap the builders of `lancedb.query`."""
    patches = Patches()
    for kind in [kind for kind in vars(module).values() if isinstance(kind, type)]:
        if kind.__module__ == module.__name__:
            for name, read in (("to_arrow", _read), ("to_batches", _unread)):
                if name in vars(kind):
                    _wrap(patches, kind, name, read)
    return patches.undo


def _wrap(patches: Patches, kind: Any, name: str, read: Any) -> None:
    watch: Any = observe_async if inspect.iscoroutinefunction(vars(kind)[name]) else observe

    def hook(wrapped: Any, builder: Any, args: Any, kwargs: Any) -> Any:
        return watch(SYSTEM, lambda: wrapped(*args, **kwargs), lambda: _asked(builder), read)

    patches.wrap(kind, name, hook)


def _asked(builder: Any) -> Query | None:
    try:
        return _ask(builder)
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # Rust's, which is no Exception
            raise RuntimeError(str(error)) from None
        raise


def _ask(builder: Any) -> Query | None:
    told = _request(builder)
    text, vector = _text(builder, told), told.get("vector")
    if vector is None and not isinstance(getattr(builder, "_query", None), str):
        vector = getattr(builder, "_query", None)
    size = dimensions(vector)
    if (
        text is None
        and size is None
        and not told.get("limit")
        and not SEARCHES.search(type(builder).__name__)
    ):
        return None  # a scan of the table
    table = getattr(builder, "_table", None)
    return Query(
        source=getattr(table, "name", None),
        operation=_operation(text, size),
        text=text,
        vector=size,
        top_k=told.get("limit") or (DEFAULT_LIMIT if size is not None or text is not None else None),
        filter=told.get("filter"),
        metric=None if size is None else str(told.get("distance_type") or "l2").lower(),
        score_kind="score" if text is not None and size is None else "distance" if size is not None else None,
    )


def _operation(text: Any, size: int | None) -> str:
    if size is None:
        return "query" if text is None else "full_text_search"
    return "vector_search" if text is None else "hybrid_search"


def _request(builder: Any) -> dict[str, Any]:
    """What a builder will ask for: of the sync ones by their fields, of the async ones by their request.

    Only what those of all kinds can be asked: a request's full text panics in Rust where it is one of words.
    """
    names = {"limit": "_limit", "filter": "_where", "distance_type": "_distance_type", "vector": "_vector"}
    if hasattr(builder, "_where"):
        return {name: getattr(builder, field, None) for name, field in names.items()}
    inner = getattr(builder, "_inner", None)
    names = {"limit": "limit", "filter": "filter", "distance_type": "distance_type", "vector": "query_vector"}
    told: dict[str, Any] = {}
    halves = [getattr(inner, name)() for name in ("to_vector_query", "to_fts_query") if hasattr(inner, name)]
    for part in halves or [inner]:
        request = part.to_query_request() if hasattr(part, "to_query_request") else None
        for name, field in names.items():
            value = getattr(request, field, None)
            if value is not None:
                told.setdefault(name, value)
        if hasattr(part, "get_query"):
            told["text"] = part.get_query()
    return told


def _text(builder: Any, told: dict[str, Any]) -> Any:
    for value in (told.get("text"), *(getattr(builder, name, None) for name in TEXTS)):
        if isinstance(value, str):
            return value
        inner = getattr(value, "query", None)  # MatchQuery, PhraseQuery
        if isinstance(inner, str):
            return inner
    return None


def _read(result: Any) -> Found:
    """The rows of an Arrow table, less its vectors."""
    keep = [
        name
        for name, kind in zip(result.schema.names, result.schema.types, strict=True)
        if not str(kind).startswith(("fixed_size_list", "large_list<item: float", "list<item: float"))
    ]
    found = []
    for row in result.slice(0, MOST).select(keep).to_pylist():
        key = next((name for name in IDS if row.get(name) is not None), "_rowid")
        score = next((name for name in SCORES if row.get(name) is not None), "")
        content, metadata = split(row, used=(key, "_distance", "_rowid", score))
        found.append(
            document(row.get(key), content, metadata, score=row.get(score), distance=row.get("_distance"))
        )
    scored = any(item["score"] is not None for item in found)
    return Found(found, result.num_rows, {"spanreel.score_kind": "score"} if scored else {})


def _unread(_reader: Any) -> Found:
    return Found([], attributes={"spanreel.documents_unread": True})
