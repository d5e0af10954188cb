"""Text Generation Inference's own API, and Hugging Face's text-generation task, which is the same body at a model's URL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from spanreel.protocols.call import Call, Usage
from spanreel.protocols.exchange import STREAM_CUT, Exchange, strings
from spanreel.protocols.servers import answered_by
from spanreel.protocols.shapes import integer, mapping, number, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

FINISH_REASONS = {"eos_token": "stop", "stop_sequence": "stop", "length": "length"}
"""TGI router/src/lib.rs FinishReason -> the convention's word."""
_MODEL = re.compile(r"/models/(.+?)(?:/pipeline/[^/]+)?$")


def model_of(path: str) -> str | None:
    """Return the model in a path of Hugging Face's (`/hf-inference/models/owner/name`)."""
    found = _MODEL.search(path)
    return unquote(found[1]) if found else None


class TGIGenerate:
    """`POST .../generate`, `.../generate_stream`, and `/` or `/models/...` with the same body."""

    name = "tgi.generate"
    kind = "llm"
    operation = "text_completion"
    suffixes = ("/generate", "/generate_stream")

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a text under `inputs`; at a path that could be anybody's for the task's whole body and no more."""
        if not isinstance(request.get("inputs"), str):
            return False
        if path.endswith(self.suffixes):
            return True
        given = request.get("parameters")
        return isinstance(given, dict) and given.keys() <= _PARAMETERS and request.keys() <= _BODY

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:
        """Return the model in the path or the body; a TGI server serves one and is not asked for it by name."""
        return model_of(path) or text(request.get("model")) or None

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Look for a token."""
        return bool(mapping(event.get("token")).get("text"))

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Look for a token that is no mark of the model's own."""
        return self.carries_output(event) and mapping(event.get("token")).get("special") is not True

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Look for the text as a whole, which comes with the last token."""
        return isinstance(event.get("generated_text"), str)

    def fold(self, exchange: Exchange) -> Call:
        """Return the call: prompt, generated text, counts of the details or of TGI's headers."""
        request = exchange.request
        given = mapping(request.get("parameters"))
        said, details, whole = _generated(exchange)
        error_type, error_message = exchange.error_type, exchange.error_message
        if not whole and error_type is None:
            error_type, error_message = STREAM_CUT, "the stream ended before its end marker"
        why = text(details.get("finish_reason"))
        reason = FINISH_REASONS.get(why or "", why) or ("error" if error_type is not None else None)
        prompt = text(request.get("inputs"))
        return Call(
            provider=answered_by(exchange, self.name),
            operation=self.operation,
            request_model=self.model(exchange.path, request),
            stream=request.get("stream") is True or exchange.streamed,
            parameters=_parameters(given),
            input_messages=_message("user", prompt, None),
            output_messages=_message("assistant", said, reason),
            tool_definitions=(),
            finish_reasons=(reason,) if reason else (),
            usage=_usage(exchange, details),
            error_type=error_type,
            error_message=error_message,
            output_started=whole,
        )


_BODY = frozenset({"inputs", "parameters", "stream", "options"})
_PARAMETERS = frozenset({
    "adapter_id", "best_of", "decoder_input_details", "details", "do_sample", "frequency_penalty", "grammar",
    "max_new_tokens", "repetition_penalty", "return_full_text", "seed", "stop", "temperature", "top_k",
    "top_n_tokens", "top_p", "truncate", "typical_p", "watermark",
})  # fmt: skip
"""huggingface_hub's TextGenerationInput and TextGenerationInputGenerateParameters."""


def _generated(exchange: Exchange) -> tuple[str | None, Mapping[str, Any], bool]:
    """Return text, details, and whether it is all."""
    if not exchange.streamed:
        body = exchange.body or mapping(next(iter(sequence(exchange.value)), None))
        return text(body.get("generated_text")), mapping(body.get("details")), True
    tokens = []
    for event in exchange.events:
        if isinstance(event.get("generated_text"), str):
            return event["generated_text"], mapping(event.get("details")), True
        token = mapping(event.get("token"))
        if token.get("special") is not True:
            tokens.append(text(token.get("text")) or "")
    return "".join(tokens), {}, exchange.done


def _message(role: str, said: str | None, reason: str | None) -> list[dict[str, Any]]:
    if not said and reason is None:
        return []
    found = [{"type": "text", "content": said}] if said else []
    return [{"role": role, "parts": found, **present({"finish_reason": reason})}]


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    return present(
        {
            "gen_ai.request.temperature": number(given.get("temperature")),
            "gen_ai.request.top_p": number(given.get("top_p")),
            "gen_ai.request.top_k": integer(given.get("top_k")),
            "gen_ai.request.seed": integer(given.get("seed")),
            "gen_ai.request.max_tokens": integer(given.get("max_new_tokens")),
            "gen_ai.request.frequency_penalty": number(given.get("frequency_penalty")),
            "gen_ai.request.stop_sequences": strings(given.get("stop")) or None,
        }
    )


def _usage(exchange: Exchange, details: Mapping[str, Any]) -> Usage | None:
    """Read the details (`prefill` comes if it was asked for, `input_length` in streams), else TGI's headers."""
    headers = exchange.response_headers
    prefill = sequence(details.get("prefill"))
    inputs = _count(details.get("input_length"))
    if inputs is None:
        inputs = _count(headers.get("x-prompt-tokens"))
    if inputs is None and prefill:
        inputs = len(prefill)
    outputs = _count(details.get("generated_tokens"))
    if outputs is None:
        outputs = _count(headers.get("x-generated-tokens"))
    if inputs is None and outputs is None:
        return None
    raw = present({"prompt_tokens": inputs, "generated_tokens": outputs})
    return Usage(input_tokens=inputs, output_tokens=outputs, raw=raw)


def _count(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        return int(value)
    found = integer(value)
    return found if found is not None and found >= 0 else None
