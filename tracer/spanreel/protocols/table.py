"""The table of protocols: which one a request belongs to, and what its attempts come to."""

from __future__ import annotations

import logging
from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spanreel.protocols import exchange as exchanges
from spanreel.protocols.anthropic_messages import AnthropicMessages
from spanreel.protocols.bedrock_converse import BedrockConverse
from spanreel.protocols.bedrock_embed import BedrockEmbed
from spanreel.protocols.bedrock_invoke import BedrockInvoke, BedrockRerank
from spanreel.protocols.call import Call
from spanreel.protocols.cohere_chat import CohereChat
from spanreel.protocols.cohere_chat_v1 import CohereChatV1
from spanreel.protocols.cohere_embed import CohereEmbed
from spanreel.protocols.gemini_embeddings import GeminiEmbeddings, VertexEmbeddings
from spanreel.protocols.gemini_generate import GeminiGenerate, VertexGenerate
from spanreel.protocols.hf_embed import HFFeatureExtraction, TEIEmbed
from spanreel.protocols.mistral import MistralAgents, MistralFim
from spanreel.protocols.ollama_chat import OllamaChat, OllamaGenerate
from spanreel.protocols.ollama_embeddings import OllamaEmbeddings
from spanreel.protocols.openai_chat import OpenAIChat
from spanreel.protocols.openai_completions import OpenAICompletions
from spanreel.protocols.openai_embeddings import OpenAIEmbeddings
from spanreel.protocols.openai_responses import OpenAIResponses
from spanreel.protocols.providers import known, provider
from spanreel.protocols.rerank import Rerank, TEIRerank
from spanreel.protocols.shapes import parse
from spanreel.protocols.strangers import resembles
from spanreel.protocols.tgi import TGIGenerate
from spanreel.protocols.vertex_anthropic import VertexAnthropic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanreel.analysis.record import Attempt
    from spanreel.protocols.exchange import Exchange
    from spanreel.protocols.wire_protocol import WireProtocol

logger = logging.getLogger("spanreel")

PROTOCOLS: tuple[WireProtocol, ...] = (
    OllamaChat(),
    OllamaGenerate(),
    OllamaEmbeddings(),
    VertexGenerate(),
    GeminiGenerate(),
    VertexEmbeddings(),
    GeminiEmbeddings(),
    VertexAnthropic(),
    AnthropicMessages(),
    OpenAIChat(),
    OpenAIResponses(),
    OpenAIEmbeddings(),
    MistralFim(),
    MistralAgents(),
    OpenAICompletions(),
    CohereChat(),
    CohereChatV1(),
    CohereEmbed(),
    Rerank(),
    TEIRerank(),
    TGIGenerate(),
    TEIEmbed(),
    HFFeatureExtraction(),
    BedrockConverse(),
    BedrockRerank(),
    BedrockEmbed(),
    BedrockInvoke(),
)
"""First match wins, so the longer path stands first, and who asks for more of a request."""

SUFFIXES: tuple[str, ...] = tuple(suffix for protocol in PROTOCOLS for suffix in protocol.suffixes)
"""What a request's path ends with if it may be ours."""

_ROOTS = ("", "/")
_MODEL_PATH = "/hf-inference/models/"

_BY_NAME = {protocol.name: protocol for protocol in PROTOCOLS}


def may_be_ours(path: str) -> bool:
    """Tell whether a request to a path is worth a look at its body: the first test of every hook.

    Beside the protocols' own paths: a model's URL at Hugging Face, and the root of a server that serves one model.
    """
    return path.endswith(SUFFIXES) or path in _ROOTS or _MODEL_PATH in path


def find(
    path: str, request: Mapping[str, Any], host: str = "", port: int | None = None
) -> WireProtocol | None:
    """Return the protocol of a JSON request by the end of its path and its shape; at unknown hosts, by all of it."""
    for protocol in PROTOCOLS:
        if (
            path.endswith(protocol.suffixes)
            and protocol.accepts(path, request)
            and (known(host, port) or resembles(protocol.name, path, request))
        ):
            return protocol
    if path in _ROOTS or _MODEL_PATH in path:
        generate = _BY_NAME[TGIGenerate.name]
        return generate if generate.accepts(path, request) else None
    return None


def named(protocol: str) -> WireProtocol | None:
    """Return a protocol by its name."""
    return _BY_NAME.get(protocol)


def recognise(
    method: str,
    host: str,
    path: str,
    request_headers: Mapping[str, str],  # noqa: ARG001 - as above
    body: bytes,
) -> str | None:
    """Return the name of the protocol that a request speaks, or None. Total."""
    if method.upper() != "POST" or not may_be_ours(path):
        return None
    request = parse(body)
    protocol = find(path, request, host) if isinstance(request, dict) else None
    return protocol.name if protocol is not None else None


def fold(protocol: str, attempts: Sequence[Attempt]) -> Call:
    """Turn the attempts of one logical call into a `Call`: the last one answered it. Never raises.

    A field that the attempts do not tell (bodies not captured, unknown protocol) is None or empty: what the
    span's attributes say then holds.
    """
    spoken = _BY_NAME.get(protocol)
    if not attempts:
        return Call(provider="", operation=spoken.operation if spoken else "")
    last = max(attempts, key=lambda attempt: attempt.seq)
    host, port, _ = exchanges.address(str(last.meta.get("url", "")))
    if spoken is None:
        return Call(provider=provider(host, port, protocol), operation="")
    try:
        exchange = exchanges.read(last)
        call = spoken.fold(exchange)
        visible = _first_visible_ns(spoken, exchange)
        return call if visible is None else replace(call, first_visible_ns=visible)
    except Exception:
        # The readers are total (property-tested); should one not be, its call keeps its place in the store.
        logger.warning("spanreel could not read a %s exchange", protocol, exc_info=True)
        return Call(provider=provider(host, port, protocol), operation=spoken.operation)


def _first_visible_ns(protocol: WireProtocol, exchange: Exchange) -> int | None:
    """When the chunk came with which the first event was whole that shows a reader something."""
    if not exchange.chunks:
        return None
    for event, end in zip(exchange.events, exchange.ends, strict=True):
        if protocol.carries_text(event):
            place = bisect_right(exchange.chunks, end - 1, key=lambda chunk: chunk[0])
            return exchange.chunks[place - 1][1] if place else None
    return None
