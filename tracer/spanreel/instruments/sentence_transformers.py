"""sentence-transformers: `encode` is an embedding span, `CrossEncoder.rank` and `predict` are rerank spans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from spanreel.documents import MOST, entry
from spanreel.guard import guard
from spanreel.instruments import local_models
from spanreel.instruments.local_models import Ask, observe, running
from spanreel.instruments.patching import Patches, named, parameters

SYSTEM = "sentence_transformers"
_ENCODERS = ("SentenceTransformer", "SparseEncoder", "MultiVectorEncoder")


def install(module: ModuleType) -> Callable[[], None]:
    """Wrap the encoders of `sentence_transformers`."""
    patches = Patches()
    for name in _ENCODERS:
        kind = getattr(module, name, None)
        if kind is not None:
            patches.wrap(kind, "encode", _encode)
            _count(patches, kind)
    kind = getattr(module, "CrossEncoder", None)
    if kind is not None:
        patches.wrap(kind, "rank", _rank)
        patches.wrap(kind, "predict", _predict)
        _count(patches, kind)
    return patches.undo


def _count(patches: Patches, kind: Any) -> None:
    """Count the tokens of what is tokenized for a call: `preprocess` from 6 on, `tokenize` before."""
    name = "preprocess" if hasattr(kind, "preprocess") else "tokenize"

    def hook(wrapped: Any, _model: Any, args: Any, kwargs: Any) -> Any:
        batch = wrapped(*args, **kwargs)
        with guard("models.tokens"):
            call = running(SYSTEM)
            if call is not None:
                call.count(given=local_models.tokens(batch))
        return batch

    patches.wrap(kind, name, hook)


def _encode(wrapped: Any, model: Any, args: Any, kwargs: Any) -> Any:
    def ask() -> Ask:
        given = named(parameters(wrapped, bound=False), args, kwargs)
        texts = next((given[name] for name in ("sentences", "inputs") if name in given), None)
        return Ask(
            system=SYSTEM,
            kind="embedding",
            operation="embeddings",
            model=_name(model),
            given=texts,
            attributes={
                "spanreel.texts": 1 if isinstance(texts, (str, Mapping)) else _size(texts),
                "gen_ai.prompt.name": given.get("prompt_name"),
            },
        )

    return observe(ask, lambda: wrapped(*args, **kwargs), _read)


def _size(texts: Any) -> int | None:
    return len(texts) if hasattr(texts, "__len__") else None


def _read(result: Any) -> tuple[Mapping[str, Any], Any]:
    if isinstance(result, Mapping):  # output_value=None: everything the model has made of one text
        result = result.get("sentence_embedding")
    elif isinstance(result, list) and result and isinstance(result[0], Mapping):
        result = [one.get("sentence_embedding") for one in result]
    return local_models.vectors(result)


def _rank(wrapped: Any, model: Any, args: Any, kwargs: Any) -> Any:
    given = named(parameters(wrapped, bound=False), args, kwargs)

    def ask() -> Ask:
        return _reranking(model, given["query"], given["documents"], given.get("top_k"))

    def read(result: Any) -> tuple[Mapping[str, Any], Any]:
        documents = given["documents"]
        found = [(one["corpus_id"], one["score"], documents[one["corpus_id"]]) for one in result[:MOST]]
        return _documents(found), None

    return observe(ask, lambda: wrapped(*args, **kwargs), read)


def _predict(wrapped: Any, model: Any, args: Any, kwargs: Any) -> Any:
    given = named(parameters(wrapped, bound=False), args, kwargs)
    pairs: Any = next((given[name] for name in ("inputs", "sentences") if name in given), ())
    single = bool(len(pairs)) and isinstance(pairs[0], str)
    pairs = list((pairs,) if single else pairs)

    def ask() -> Ask:
        queries = {str(pair[0]) for pair in pairs[:MOST]}
        query = queries.pop() if len(queries) == 1 else None
        return _reranking(model, query, [pair[1] for pair in pairs], None)

    def read(result: Any) -> tuple[Mapping[str, Any], Any]:
        scores: Any = [result] if single else result
        plain = scores.tolist() if hasattr(scores, "tolist") else [_number(one) for one in scores]
        if plain and isinstance(plain[0], list):  # several labels: classes, no ranking
            return {}, plain
        found = sorted(
            ((n, float(s), pairs[n][1]) for n, s in enumerate(plain)), key=lambda one: one[1], reverse=True
        )
        return _documents(found[:MOST]), None

    return observe(ask, lambda: wrapped(*args, **kwargs), read)


def _number(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _documents(found: list[tuple[int, float, Any]]) -> dict[str, Any]:
    documents = [entry(str(key), score, content, {}) for key, score, content in found]
    return {"spanreel.documents": documents, "spanreel.document_count": len(documents)}


def _reranking(model: Any, query: Any, documents: Any, top_k: Any) -> Ask:
    given = {"query": query, "documents": list(documents), "top_k": top_k}
    return Ask(
        system=SYSTEM,
        kind="rerank",
        operation="rerank",
        model=_name(model),
        given={key: value for key, value in given.items() if value is not None},
        attributes={
            "gen_ai.retrieval.query.text": query if isinstance(query, str) else None,
            "gen_ai.retrieval.top_k": top_k,
            "spanreel.score_kind": "score",
        },
    )


def _name(model: Any) -> str | None:
    """What the model was loaded from."""
    card = getattr(model, "model_card_data", None)
    for found in (
        getattr(card, "model_id", None),
        getattr(card, "base_model", None),
        getattr(getattr(getattr(model, "model", None), "config", None), "_name_or_path", None),
        _first_name(model),
    ):
        if isinstance(found, str) and found:
            return found
    return None


def _first_name(model: Any) -> Any:
    with guard("models.name"):
        first = next(iter(model.children()), None)
        inner = getattr(first, "auto_model", None) or getattr(first, "model", None)
        return getattr(getattr(inner, "config", None), "_name_or_path", None)
    return None
