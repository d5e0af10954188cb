"""The kinds of spans, and the names other tools use for them."""

from __future__ import annotations

import difflib

KINDS = (
    "llm",
    "embedding",
    "retrieval",
    "rerank",
    "tool",
    "agent",
    "chain",
    "guardrail",
    "evaluator",
    "memory",
    "span",
)

ALIASES = {
    "generation": "llm",
    "completion": "llm",
    "embeddings": "embedding",
    "retriever": "retrieval",
    "reranker": "rerank",
    "task": "chain",
    "workflow": "chain",
}


def resolve_kind(kind: object) -> str:
    """The kind meant by `kind`; raises TypeError naming the nearest for one that does not exist."""
    if isinstance(kind, str):
        found = ALIASES.get(kind, kind)
        if found in KINDS:
            return found
    known = (*KINDS, *ALIASES)
    near = difflib.get_close_matches(str(kind).lower(), known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise TypeError(f"unknown kind {kind!r}{hint} (kinds: {', '.join(KINDS)})")
