"""The shapes of the OpenAI API: completions, chunks, usage and errors."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spanreel_demo.responder import Reply
from spanreel_demo.tokens import count, split

MODELS: Mapping[str, tuple[str, int]] = {
    "gpt-4o-mini": ("gpt-4o-mini-2024-07-18", 128_000),
    "gpt-4.1-mini": ("gpt-4.1-mini-2025-04-14", 1_047_576),
    "o4-mini": ("o4-mini-2025-04-16", 200_000),
    "gpt-4": ("gpt-4-0613", 8_192),
}
"""The models served: the dated name that answers carry, and the context window in tokens."""


@dataclass(eq=False)
class ApiError(Exception):
    """An error response, shaped as OpenAI's."""

    status: int
    message: str
    type: str
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def rate_limit(model: str, *, wait_ms: int) -> ApiError:
    """Refuse for too many tokens in a minute; the client is told how long to wait."""
    return ApiError(
        429,
        f"Rate limit reached for {model} in organization org-fernwheel on tokens per min (TPM): Limit 60000,"
        f" Used 59144, Requested 1370. Please try again in {wait_ms}ms.",
        "tokens",
        "rate_limit_exceeded",
        headers={"retry-after-ms": str(wait_ms), "x-ratelimit-remaining-tokens": "856"},
    )


def outage(*, wait_ms: int) -> ApiError:
    """Answer with a failure of the server's own."""
    return ApiError(
        500,
        "The server had an error while processing your request. Sorry about that!",
        "server_error",
        headers={"retry-after-ms": str(wait_ms)},
    )


def check(request: Mapping[str, Any], prompt_tokens: int) -> None:
    """Refuse unknown models, empty conversations and prompts that exceed the context window."""
    model = str(request["model"])
    if model not in MODELS:
        raise ApiError(
            404, f"The model `{model}` does not exist.", "invalid_request_error", "model_not_found", "model"
        )
    if not request.get("messages"):
        raise ApiError(400, "[] is too short - 'messages'", "invalid_request_error", None, "messages")
    window, wanted = MODELS[model][1], int(request.get("max_tokens") or 0)
    if prompt_tokens + wanted > window:
        raise ApiError(
            400,
            f"This model's maximum context length is {window} tokens. However, you requested"
            f" {prompt_tokens + wanted} tokens ({prompt_tokens} in the messages, {wanted} in the completion)."
            " Please reduce the length of the messages or completion.",
            "invalid_request_error",
            "context_length_exceeded",
            "messages",
        )


class Completion:
    """One answer, as a whole or in chunks."""

    def __init__(
        self, request: Mapping[str, Any], reply: Reply, prompt_tokens: int, cached_tokens: int
    ) -> None:
        self.reply = reply
        self._request = request
        self._prompt_tokens = prompt_tokens
        self._cached_tokens = cached_tokens
        limit = request.get("max_completion_tokens") or request.get("max_tokens")
        allowed = None if limit is None else max(0, int(limit) - reply.reasoning_tokens)
        pieces = split(reply.text)
        self._cut = allowed is not None and len(pieces) > allowed
        self._pieces = pieces[:allowed] if self._cut else pieces
        digest = hashlib.sha256(json.dumps([request["messages"], reply.text]).encode()).hexdigest()
        self._frame = {
            "id": f"chatcmpl-{digest[:28]}",
            "created": int(time.time()),
            "model": MODELS[str(request["model"])][0],
            "system_fingerprint": "fp_spanreel_demo",
            "service_tier": "default",
        }

    @property
    def spoken_tokens(self) -> int:
        """Tokens of the visible answer: text and tool calls."""
        return len(self._pieces) + sum(4 + count(call.arguments) for call in self.reply.tool_calls)

    @property
    def finish_reason(self) -> str:
        """Why the answer ends: stop, length or tool_calls."""
        return "length" if self._cut else self.reply.finish_reason

    def usage(self) -> dict[str, Any]:
        """Return the usage object; cached and reasoning tokens are parts of the totals, as with OpenAI."""
        spoken = self.spoken_tokens + self.reply.reasoning_tokens
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": spoken,
            "total_tokens": self._prompt_tokens + spoken,
            "prompt_tokens_details": {"cached_tokens": self._cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self.reply.reasoning_tokens, "audio_tokens": 0},
        }

    def whole(self) -> dict[str, Any]:
        """Return the answer as one object."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(self._pieces) or None,
            "refusal": None,
        }
        if self.reply.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in self.reply.tool_calls
            ]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
        return {**self._frame, "object": "chat.completion", "choices": [choice], "usage": self.usage()}

    def chunks(self) -> list[dict[str, Any]]:
        """Return the answer as the objects of a stream, the last with the usage if it was asked for."""
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in _grouped(self._pieces, 2)]
        for index, call in enumerate(self.reply.tool_calls):
            head = {"name": call.name, "arguments": ""}
            deltas.append(
                {"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": head}]}
            )
            deltas += [
                {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
                for piece in _grouped(split(call.arguments), 3)
            ]
        chunks = [self._chunk(delta, None) for delta in deltas]
        chunks.append(self._chunk({}, self.finish_reason))
        if (self._request.get("stream_options") or {}).get("include_usage"):
            frame = {**self._frame, "object": "chat.completion.chunk"}
            chunks.append({**frame, "choices": [], "usage": self.usage()})
        return chunks

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._frame, "object": "chat.completion.chunk", "choices": [choice]}


def _grouped(pieces: Sequence[str], size: int) -> list[str]:
    return ["".join(pieces[at : at + size]) for at in range(0, len(pieces), size)]
