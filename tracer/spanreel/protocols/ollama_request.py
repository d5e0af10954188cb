"""What the requests and answers of Ollama's own API have in common: parameters, images, counts, reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.call import Usage
from spanreel.protocols.exchange import strings
from spanreel.protocols.shapes import integer, mapping, number, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

_COUNTS = (
    "prompt_eval_count",
    "eval_count",
    "total_duration",
    "load_duration",
    "prompt_eval_duration",
    "eval_duration",
)
"""What an answer is measured by: tokens, and nanoseconds."""


def parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return every request parameter that has a name in the conventions; all of `options` as it is."""
    options = mapping(request.get("options"))
    think, format_ = request.get("think"), request.get("format")
    asked = format_ == "json" or (isinstance(format_, dict) and bool(format_))
    most = integer(options.get("num_predict"))
    return present(
        {
            "gen_ai.request.temperature": number(options.get("temperature")),
            "gen_ai.request.top_p": number(options.get("top_p")),
            "gen_ai.request.top_k": integer(options.get("top_k")),
            "gen_ai.request.max_tokens": most if most is not None and most >= 0 else None,
            "gen_ai.request.seed": integer(options.get("seed")),
            "gen_ai.request.frequency_penalty": number(options.get("frequency_penalty")),
            "gen_ai.request.presence_penalty": number(options.get("presence_penalty")),
            "gen_ai.request.stop_sequences": strings(options.get("stop")) or None,
            "gen_ai.request.reasoning.level": text(think),
            "gen_ai.output.type": "json" if asked else None,
            "spanreel.request.response_format": format_ if asked else None,
            "spanreel.request.think": think if isinstance(think, bool) else None,
            "spanreel.request.options": options or None,
        }
    )


def usage(answer: Mapping[str, Any]) -> Usage | None:
    """Read the counts of an answer. Ollama leaves the prompt's out when all of it was in its cache."""
    counts = {key: answer[key] for key in _COUNTS if integer(answer.get(key)) is not None}
    if not counts:
        return None
    return Usage(
        input_tokens=_count(counts.get("prompt_eval_count")),
        output_tokens=_count(counts.get("eval_count")),
        raw=counts,
    )


def _count(value: object) -> int | None:
    found = integer(value)
    return found if found is not None and found >= 0 else None


def finish(reason: object, *, asks_for_tools: bool = False) -> str | None:
    """Return the convention's finish reason; a model that asks for a tool says `stop`."""
    if not isinstance(reason, str) or not reason:
        return None
    return "tool_call" if reason == "stop" and asks_for_tools else reason


def images(value: object) -> list[dict[str, Any]]:
    """Return the images of a message: base64 without a media type."""
    return [
        {"type": "blob", "modality": "image", "content": item}
        for item in sequence(value)
        if isinstance(item, str)
    ]
