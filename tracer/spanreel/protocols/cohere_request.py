"""Request parameters of Cohere's APIs -> `gen_ai.request.*` attributes; documents that a request brings along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols import openai_request
from spanreel.protocols.exchange import strings
from spanreel.protocols.shapes import integer, mapping, number, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTENT = ("text", "snippet", "content", "data")
"""Fields in which documents of a request hold their text, the likeliest first."""


def parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what has the same name as at OpenAI, and what Cohere calls by names of its own."""
    return openai_request.parameters(request) | present(
        {
            "gen_ai.request.top_p": number(request.get("p")),
            "gen_ai.request.top_k": integer(request.get("k")),
            "gen_ai.request.stop_sequences": strings(request.get("stop_sequences")) or None,
        }
    )


def documents(value: object) -> list[dict[str, Any]]:
    """Return the documents of a request: strings, or objects with `id` and `data`, or objects of any fields."""
    found: list[dict[str, Any]] = []
    for item in sequence(value):
        if isinstance(item, str):
            found.append({"id": None, "content": item, "score": None, "metadata": None})
        elif isinstance(item, dict):
            data = item.get("data")
            fields = data if isinstance(data, dict) else {k: v for k, v in item.items() if k != "id"}
            found.append(
                {
                    "id": text(item.get("id")),
                    "content": content(fields),
                    "score": None,
                    "metadata": {key: said for key, said in fields.items() if key not in _CONTENT} or None,
                }
            )
    return found


def content(item: object) -> str | None:
    """Return the text of a document: the string it is, or the field that holds it."""
    if isinstance(item, str):
        return item
    fields = mapping(item)
    named = next((said for key in _CONTENT if (said := text(fields.get(key))) is not None), None)
    return named if named is not None else next((v for v in fields.values() if isinstance(v, str)), None)
