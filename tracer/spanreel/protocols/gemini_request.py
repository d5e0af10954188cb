"""Requests of Google's Gemini API: the model in the path, parameters and tools in the conventions' names.

JSON of Google's APIs may be written in camelCase or in snake_case; both are read.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from spanreel.protocols.exchange import strings
from spanreel.protocols.shapes import integer, mapping, number, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODEL = re.compile(r"/([^/:]+):[A-Za-z]+$")
_UPPER = re.compile(r"[A-Z]")
_MIME_JSON = ("application/json", "text/x.enum")


def model_of(path: str) -> str | None:
    """Return the model (or tuned model, or endpoint) of a path that ends with MODEL:method."""
    found = _MODEL.search(path)
    return unquote(found[1]) if found else None


def on_vertex(path: str) -> bool:
    """Tell Vertex AI's paths (a project's, or a publisher's in express mode) from the Gemini API's."""
    return "/publishers/" in path or "/projects/" in path


@lru_cache(maxsize=256)
def snake(name: str) -> str:
    """Return a camelCase name in snake_case."""
    return _UPPER.sub(lambda found: "_" + found[0].lower(), name)


def get(source: Mapping[str, Any], name: str) -> Any:
    """Return a field by its camelCase name, whichever way it was written."""
    value = source.get(name)
    return source.get(snake(name)) if value is None else value


def parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return every request parameter that has a name in the conventions, and those of ours that explain answers."""
    config = mapping(get(request, "generationConfig"))
    thinking = mapping(get(config, "thinkingConfig"))
    level = text(get(thinking, "thinkingLevel"))
    choices = integer(get(config, "candidateCount"))
    schema = get(config, "responseJsonSchema") or get(config, "responseSchema")
    return present(
        {
            "gen_ai.request.temperature": number(config.get("temperature")),
            "gen_ai.request.top_p": number(get(config, "topP")),
            "gen_ai.request.top_k": integer(get(config, "topK")),
            "gen_ai.request.max_tokens": integer(get(config, "maxOutputTokens")),
            "gen_ai.request.stop_sequences": strings(get(config, "stopSequences")) or None,
            "gen_ai.request.frequency_penalty": number(get(config, "frequencyPenalty")),
            "gen_ai.request.presence_penalty": number(get(config, "presencePenalty")),
            "gen_ai.request.seed": integer(config.get("seed")),
            "gen_ai.request.choice.count": None if choices == 1 else choices,
            "gen_ai.request.reasoning.level": level.lower() if level else None,
            "gen_ai.output.type": _output_type(config),
            "spanreel.request.thinking_budget": integer(get(thinking, "thinkingBudget")),
            "spanreel.request.response_format": schema if isinstance(schema, dict) else None,
            "spanreel.request.tool_choice": get(mapping(get(request, "toolConfig")), "functionCallingConfig"),
            "spanreel.request.cached_content": text(get(request, "cachedContent")),
        }
    )


def _output_type(config: Mapping[str, Any]) -> str | None:
    asked = {item.lower() for item in strings(get(config, "responseModalities"))}
    if "audio" in asked:
        return "speech"
    if "image" in asked:
        return "image"
    mime = text(get(config, "responseMimeType"))
    return "json" if mime in _MIME_JSON else "text" if mime == "text/plain" else None


def tool_definitions(tools: object) -> tuple[dict[str, Any], ...]:
    """Return the tools on offer: each declared function, and each of Google's own by its name."""
    found: list[dict[str, Any]] = []
    for tool in sequence(tools):
        for key, value in mapping(tool).items():
            if snake(str(key)) == "function_declarations":
                found.extend(_function(item) for item in sequence(value) if isinstance(item, dict))
            elif value is not None:
                found.append({**mapping(value), "type": snake(str(key))})
    return tuple(found)


def _function(declared: Mapping[str, Any]) -> dict[str, Any]:
    schema = get(declared, "parametersJsonSchema")
    kept = {key: value for key, value in declared.items() if snake(str(key)) != "parameters_json_schema"}
    return {"type": "function", **kept, **({} if schema is None else {"parameters": schema})}
