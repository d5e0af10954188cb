"""The client, and which model does what."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

import openai
from openai.types.chat import ChatCompletionMessageParam

Message = ChatCompletionMessageParam


@dataclass(frozen=True, slots=True)
class Models:
    """Names of models by the work they do."""

    chat: str = "gpt-4o-mini"
    reasoning: str = "o4-mini"
    fallback: str = "gpt-4.1-mini"
    small_window: str = "gpt-4"
    embedding: str = "text-embedding-3-small"


def models() -> Models:
    """Return the usual models; OPENAI_MODEL, if set, does all the talking (a local server often has just one)."""
    chosen = os.environ.get("OPENAI_MODEL")
    embedding = os.environ.get("OPENAI_EMBEDDING_MODEL", Models().embedding)
    return Models(chosen, chosen, chosen, chosen, embedding) if chosen else Models(embedding=embedding)


@cache
def client() -> openai.OpenAI:
    """Return the one client of the process; it reads OPENAI_API_KEY and OPENAI_BASE_URL."""
    return openai.OpenAI()
