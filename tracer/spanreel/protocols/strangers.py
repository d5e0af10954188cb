"""A closer look at requests to hosts that nobody knows, where the path is a word that anybody may use.

`/api/chat`, `/v1/chat`, `/generate`, `/embed` or `/responses` may well be the program's own service. There a request
must look like the API all over, and the answer must have what every answer of the API has. At a provider's own host
nothing of this is asked: APIs get new fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.bedrock_parts import model as bedrock_model
from spanreel.protocols.shapes import mapping, sequence, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_OLLAMA = frozenset({"model", "options", "keep_alive"})
_OLLAMA_SAID = _OLLAMA | {"stream", "format", "think", "logprobs", "top_logprobs", "truncate", "shift"}
_COHERE = frozenset({
    "model", "documents", "tools", "strict_tools", "response_format", "safety_mode", "max_tokens", "k", "p", "seed",
    "stop_sequences", "temperature", "frequency_penalty", "presence_penalty", "raw_prompting", "stream",
})  # fmt: skip
KNOWN: Mapping[str, frozenset[str]] = {
    "ollama.chat": _OLLAMA_SAID | {"messages", "tools"},
    "ollama.generate": _OLLAMA_SAID | {
        "prompt", "suffix", "images", "system", "template", "raw", "context", "width", "height", "steps",
    },
    "ollama.embeddings": _OLLAMA | {"input", "prompt", "truncate", "dimensions"},
    "cohere.chat": _COHERE | {
        "messages", "citation_options", "logprobs", "tool_choice", "thinking", "priority", "return_prompt",
    },
    "cohere.chat_v1": _COHERE | {
        "message", "preamble", "chat_history", "conversation_id", "prompt_truncation", "connectors",
        "search_queries_only", "citation_quality", "max_input_tokens", "tool_results", "force_single_step",
        "return_prompt", "return_preamble",
    },
    "tgi.generate": frozenset({"inputs", "parameters", "stream", "options", "model"}),
    "tei.embed": frozenset({
        "inputs", "truncate", "normalize", "prompt_name", "truncation_direction", "dimensions", "model",
    }),
}  # fmt: skip
"""Protocol -> the fields of its requests: ollama._types, cohere's raw clients, huggingface_hub's types, TEI's OpenAPI."""


def resembles(protocol: str, path: str, request: Mapping[str, Any]) -> bool:
    """Tell whether a request that a protocol would accept looks like it in the rest, too. Total."""
    known = KNOWN.get(protocol)
    if known is not None and not request.keys() <= known:
        return False
    look = _LOOKS.get(protocol)
    return look is None or look(path, request)


def _roles(_path: str, request: Mapping[str, Any]) -> bool:
    """Messages say who speaks."""
    return all(text(mapping(item).get("role")) for item in sequence(request.get("messages")))


def _cohere_v1(_path: str, request: Mapping[str, Any]) -> bool:
    """Cohere's own client always says whether it wants a stream; others name a model."""
    return "stream" in request or "model" in request


def _names_a_model(_path: str, request: Mapping[str, Any]) -> bool:
    """A video player has an `/embed`, too."""
    return bool(text(request.get("model")))


def _stored_prompt(_path: str, request: Mapping[str, Any]) -> bool:
    """A prompt that is kept at the provider has an id; the question of a survey is a text."""
    prompt = request.get("prompt")
    return not isinstance(prompt, dict) or bool(text(prompt.get("id")))


def _bedrock(path: str, request: Mapping[str, Any]) -> bool:
    """Amazon's models are called vendor.name, or by an ARN."""
    named = bedrock_model(path) or ""
    return "." in named or named.startswith("arn:") or "anthropic_version" in request


def _vertex(path: str, _request: Mapping[str, Any]) -> bool:
    """A project has locations, an express key's path a publisher."""
    return "/locations/" in path or "/publishers/" in path


_LOOKS: Mapping[str, Callable[[str, Mapping[str, Any]], bool]] = {
    "ollama.chat": _roles,
    "cohere.chat": _roles,
    "cohere.chat_v1": _cohere_v1,
    "cohere.embed": _names_a_model,
    "anthropic.messages": _roles,
    "openai.responses": _stored_prompt,
    "bedrock.invoke": _bedrock,
    "vertex.embeddings": _vertex,
}


SIGNS: Mapping[str, tuple[bytes, ...]] = {
    "ollama.chat": (b'"done"',),
    "ollama.generate": (b'"done"',),
    "ollama.embeddings": (b'"embedding"', b'"embeddings"'),
    "cohere.chat_v1": (b'"generation_id"', b'"response_id"', b'"event_type"'),
    "openai.responses": (b'"output"', b'"response.'),
    "openai.completions": (b'"choices"',),
    "tgi.generate": (b'"generated_text"', b'"token"'),
    "tei.embed": (b"[",),
}
"""Protocol -> what stands in every answer of it, one of them."""


def answers(protocol: str, *data: bytes) -> bool:
    """Tell whether the bytes of an answer may be the protocol's; yes where there are none."""
    signs = SIGNS.get(protocol)
    return signs is None or not any(data) or any(sign in part for sign in signs for part in data)
