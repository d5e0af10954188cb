"""Counting tokens without a tokenizer's tables: deterministic, and close to what OpenAI's would say."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PIECE = re.compile(r"\s?(?:[^\W\d_]{1,7}|\d{1,3}|[^\w\s]|_)|\s+")
PER_MESSAGE = 3
"""Tokens that each message costs beyond its text (OpenAI's cookbook: role and separators)."""
CACHE_FLOOR, CACHE_STEP = 1024, 128
"""OpenAI caches prompts from 1,024 tokens on, in steps of 128."""


def split(text: str) -> list[str]:
    """Cut `text` into pieces that stand for tokens; joined, they are `text` again."""
    return PIECE.findall(text)


def count(text: str) -> int:
    """Return the number of tokens in `text`."""
    return len(split(text))


def prompt_pieces(request: Mapping[str, Any]) -> list[str]:
    """Return the tokens of a chat request: tools first, then message by message, as a model is shown them."""
    pieces = split(json.dumps(request["tools"])) if request.get("tools") else []
    for message in request["messages"]:
        pieces += ["<|message|>"] * PER_MESSAGE
        pieces += split(str(message.get("role", "")) + text_of(message.get("content")))
        pieces += split(json.dumps(message["tool_calls"])) if message.get("tool_calls") else []
    return pieces


def text_of(content: object) -> str:
    """Return the text of a message's `content`, which is a string, a list of parts, or None."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


class PromptCache:
    """Remembers which prompt beginnings were seen, to report `cached_tokens` as OpenAI does."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def cached(self, model: str, pieces: Sequence[str]) -> int:
        """Return how many leading tokens an earlier prompt to `model` shared, and remember this one."""
        longest = 0
        for length, fingerprint in _beginnings(model, pieces):
            if fingerprint in self._seen:
                longest = length
            self._seen.add(fingerprint)
        return longest


def _beginnings(model: str, pieces: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    running = hashlib.sha256(model.encode())
    for length in range(CACHE_STEP, len(pieces) + 1, CACHE_STEP):
        running.update("\0".join(pieces[length - CACHE_STEP : length]).encode("utf-8", "surrogatepass"))
        if length >= CACHE_FLOOR:
            yield length, running.copy().digest()
