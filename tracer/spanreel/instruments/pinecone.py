"""pinecone: queries and searches of an index (vectors, records, documents) and the inference calls.

REST and gRPC, sync and async. Every score of pinecone's is "higher is better" but euclidean ones; the metric
belongs to the index and is not told by a query.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from spanreel.documents import MOST, Document
from spanreel.instruments.patching import Patches, named, parameters
from spanreel.instruments.retrieval import Found, Query, dimensions, document, observe, observe_async, split
from spanreel.wire.nesting import Nested

if TYPE_CHECKING:
    from types import ModuleType

SYSTEM = "pinecone"
INDEXES = ("Index", "AsyncIndex", "IndexAsyncio", "_IndexAsyncio", "GrpcIndex", "GRPCIndex")
DOCUMENTS = ("Documents", "AsyncDocuments")
INFERENCE = ("Inference", "AsyncInference", "AsyncioInference")
QUERIES = ("query", "search", "search_records", "query_namespaces")
HOST = re.compile(r"^(?:https?://)?([^/:]+?)-[a-z0-9]{7}\.svc\.")


def install(module: ModuleType) -> Callable[[], None]:
    """Wrap whatever of pinecone's classes `module` defines."""
    patches = Patches()
    for name, kind in list(vars(module).items()):
        if not isinstance(kind, type) or kind.__module__ != module.__name__:
            continue
        if name in INDEXES:
            for method in QUERIES:
                _wrap(patches, kind, method, _query, _read_matches)
        elif name in DOCUMENTS:
            _wrap(patches, kind, "search", _search_documents, _read_matches)
        elif name in INFERENCE:
            _wrap(patches, kind, "embed", _embed, _read_embeddings)
            _wrap(patches, kind, "rerank", _rerank, _read_ranking)
        elif name == "HTTPClient":
            _wrap_post(patches, kind)
    return patches.undo


def _wrap(patches: Patches, kind: Any, name: str, ask: Any, read: Any) -> None:
    original = getattr(kind, name, None)
    if original is None:
        return
    names = parameters(original)
    waits = inspect.iscoroutinefunction(original)

    def hook(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if kwargs.get("async_req"):  # of versions before 10: a future, whose result another thread takes
            return wrapped(*args, **kwargs)

        def asked() -> Query:
            return ask(name, instance, named(names, args, kwargs))  # type: ignore[no-any-return]

        if waits:
            return observe_async(SYSTEM, lambda: _awaited_alone(wrapped, args, kwargs), asked, read)
        return observe(SYSTEM, lambda: _alone(wrapped, args, kwargs), asked, read)

    patches.wrap(kind, name, hook)


def _wrap_post(patches: Patches, kind: Any) -> None:
    """See the queries of indexes that were made before us: each keeps its own `query` from then."""

    def hook(wrapped: Any, client: Any, args: Any, kwargs: Any) -> Any:
        body = kwargs.get("json")
        if (args[:1] != ("/query",) and kwargs.get("path") != "/query") or not isinstance(body, dict):
            return wrapped(*args, **kwargs)
        names = {"topK": "top_k", "sparseVector": "sparse_vector"}
        given = {names.get(str(name), str(name)): value for name, value in body.items()}
        return observe(
            SYSTEM,
            lambda: wrapped(*args, **kwargs),
            lambda: _query("query", client, given),
            lambda response: _read_json(response.content),
        )

    patches.wrap(kind, "post", hook)


def _read_json(content: bytes) -> Found:
    answer = orjson.loads(content)
    found = []
    for match in answer["matches"][:MOST]:
        text, metadata = split(match.get("metadata"))
        found.append(document(match.get("id"), text, metadata, score=match.get("score")))
    return Found(found, len(answer["matches"]), {"spanreel.usage": answer.get("usage")})


def _alone(wrapped: Any, args: Any, kwargs: Any) -> Any:
    """Call with the wire told that this exchange is recorded: rerank and embed have paths that it knows."""
    mark = Nested()
    try:
        return wrapped(*args, **kwargs)
    finally:
        mark.leave()


async def _awaited_alone(wrapped: Any, args: Any, kwargs: Any) -> Any:
    mark = Nested()
    try:
        return await wrapped(*args, **kwargs)
    finally:
        mark.leave()


def _source(instance: Any) -> str | None:
    """The name of an index, which is the first part of its host; the host itself where that is unusual."""
    host = getattr(instance, "_host", None) or getattr(getattr(instance, "_config", None), "host", None)
    if not host:
        return None
    found = HOST.match(str(host))
    return found.group(1) if found else str(host).partition("://")[2] or str(host)


def _query(name: str, index: Any, given: dict[str, Any]) -> Query:
    inner = _plain(given.get("query"))
    inner = inner if isinstance(inner, dict) else {}
    inputs = _plain(given.get("inputs") or inner.get("inputs"))
    text = inputs.get("text") if isinstance(inputs, dict) else None
    vector = given.get("vector", inner.get("vector"))
    if vector is None:
        vector = given.get("sparse_vector")
    vector = vector.get("values") if isinstance(vector, dict) else getattr(vector, "values", vector)
    rerank = _plain(given.get("rerank"))
    return Query(
        source=_source(index),
        operation=name,
        text=text,
        vector=dimensions(vector),
        top_k=given.get("top_k", inner.get("top_k")),
        filter=given.get("filter", inner.get("filter")),
        score_kind="similarity",
        metric=given.get("metric"),
        attributes={
            "db.namespace": given.get("namespace") or given.get("namespaces") or None,
            "spanreel.query_id": given.get("id", inner.get("id")),
            "gen_ai.request.model": rerank.get("model") if isinstance(rerank, dict) else None,
        },
    )


def _search_documents(name: str, documents: Any, given: dict[str, Any]) -> Query:
    clauses = given.get("score_by") or []
    told = [_plain(clause) for clause in (clauses if isinstance(clauses, (list, tuple)) else [clauses])]
    texts = [clause["query"] for clause in told if isinstance(clause.get("query"), str)]
    vectors = (dimensions(clause.get("values")) for clause in told)
    return Query(
        source=_source(documents),
        operation=f"documents.{name}",
        text=texts[0] if len(texts) == 1 else texts or None,
        vector=next((size for size in vectors if size is not None), None),
        top_k=given.get("top_k"),
        filter=given.get("filter"),
        score_kind="score",
        attributes={
            "db.namespace": given.get("namespace"),
            "spanreel.score_by": [clause.get("type") for clause in told],
        },
    )


def _plain(value: Any) -> Any:
    """A request model of pinecone's as a dictionary."""
    fields = getattr(type(value), "__struct_fields__", None)
    if fields:
        tag = getattr(getattr(type(value), "__struct_config__", None), "tag", None)
        told = {name: getattr(value, name) for name in fields}
        return told if tag is None else {"type": tag, **told}
    to_dict = getattr(value, "to_dict", None) or getattr(value, "as_dict", None)
    return to_dict() if callable(to_dict) else value if value is not None else {}


def _read_matches(result: Any) -> Found | None:
    matches = getattr(result, "matches", None)
    if matches is None:
        matches = getattr(getattr(result, "result", None), "hits", None)
    if matches is None:
        return None
    usage = _plain(getattr(result, "usage", None))
    return Found([_match(match) for match in matches[:MOST]], len(matches), {"spanreel.usage": usage or None})


def _match(match: Any) -> Document:
    fields: Any = getattr(match, "_data", None)  # a document of a schema-based index is all fields
    for name in ("fields", "metadata"):
        fields = fields if isinstance(fields, dict) else getattr(match, name, None)
    content, metadata = split(fields, used=("_id", "_score", "id", "score"))
    return document(_told(match, "id"), content, metadata, score=_told(match, "score"))


def _told(match: Any, name: str) -> Any:
    """The id or score of a match, which records spell with an underscore."""
    return next(
        (value for word in (name, f"_{name}") if (value := getattr(match, word, None)) is not None), None
    )


def _rerank(_name: str, _inference: Any, given: dict[str, Any]) -> Query:
    return Query(
        kind="rerank",
        source=str(getattr(given.get("model"), "value", given.get("model"))),
        operation="rerank",
        text=given.get("query"),
        top_k=given.get("top_n"),
        score_kind="score",
        attributes={
            "gen_ai.provider.name": "pinecone",
            "gen_ai.request.model": str(getattr(given.get("model"), "value", given.get("model"))),
            "spanreel.rerank.input_count": len(given.get("documents") or ()),
        },
    )


def _read_ranking(result: Any) -> Found:
    found = []
    for item in result.data[:MOST]:
        content, metadata = split(_plain(item.document) if item.document is not None else None, used=("id",))
        key = (item.document or {}).get("id", item.index)
        found.append(document(key, content, {**metadata, "index": item.index}, score=item.score))
    usage = _plain(result.usage)
    attributes = {"gen_ai.response.model": result.model, "spanreel.usage": usage or None}
    return Found(found, len(result.data), attributes)


def _embed(_name: str, _inference: Any, given: dict[str, Any]) -> Query:
    inputs = given.get("inputs")
    texts = [inputs] if isinstance(inputs, str) else [_text(item) for item in inputs or ()]
    model = str(getattr(given.get("model"), "value", given.get("model")))
    return Query(
        kind="embedding",
        source=model,
        operation="embed",
        text=texts,
        attributes={"gen_ai.provider.name": "pinecone", "gen_ai.request.model": model},
    )


def _text(item: Any) -> Any:
    return item.get("text", item) if isinstance(item, dict) else item


def _read_embeddings(result: Any) -> Found:
    first = result.data[0] if result.data else None
    attributes = {
        "gen_ai.response.model": result.model,
        "gen_ai.usage.input_tokens": getattr(result.usage, "total_tokens", None),
        "gen_ai.embeddings.dimension.count": dimensions(getattr(first, "values", None)),
    }
    return Found([], attributes=attributes)
