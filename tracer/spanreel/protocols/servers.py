"""Who answered where the host does not tell: a server of one's own, a proxy, a test on loopback.

Only signs that one provider alone leaves count; each stands here with where it comes from. What a response
shows is asked first, then the path, then the client: an SDK of one provider may be pointed at another's server.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from spanreel.protocols.providers import by_host, provider
from spanreel.protocols.shapes import mapping, sequence, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from spanreel.protocols.exchange import Exchange

RESPONSE_HEADERS: dict[str, str] = {
    "x-groq-region": "groq",  # every answer of api.groq.com
    "mistral-correlation-id": "mistral_ai",  # every answer of api.mistral.ai
    "fireworks-prompt-tokens": "fireworks",  # docs.fireworks.ai, "Performance metrics"
    "fireworks-server-time-to-first-token": "fireworks",
    "apim-request-id": "azure.ai.openai",  # Azure API Management, in front of every Azure OpenAI resource
    "x-ms-deployment-name": "azure.ai.openai",
    "x-litellm-call-id": "litellm",  # litellm proxy/common_request_processing.py
    "x-compute-type": "tgi",  # TGI router/src/server.rs, with x-inference-time and others
}
"""A header that one provider's answers carry -> the provider. All of them are in `wire.headers.RESPONSE`."""

USER_AGENTS: tuple[tuple[str, str], ...] = (
    ("AzureOpenAI/", "azure.ai.openai"),  # openai._base_client.user_agent: <class name>/Python <version>
    ("AsyncAzureOpenAI/", "azure.ai.openai"),
    ("Groq/", "groq"),  # the same of the SDKs that Stainless generates
    ("AsyncGroq/", "groq"),
    ("Together/", "together"),
    ("AsyncTogether/", "together"),
    ("Fireworks/", "fireworks"),
    ("AsyncFireworks/", "fireworks"),
    ("Cerebras/", "cerebras"),
    ("AsyncCerebras/", "cerebras"),
    ("Perplexity/", "perplexity"),
    ("AsyncPerplexity/", "perplexity"),
    ("cohere/", "cohere"),  # cohere.core.client_wrapper
    ("mistral-client-python/", "mistral_ai"),  # mistralai 0.x and 1.0
)
"""(beginning of the User-Agent that one provider's own SDK sends, provider)."""

_SPEAKEASY = re.compile(r"^speakeasy-sdk/python .* mistralai(?:-azure|-gcp)?$")
"""mistralai.client._version.__user_agent__."""
_TGI = re.compile(r"^\d+\.\d+\.\d+(?:-dev\d*)?-(?:sha-[0-9a-f]{7}|native)")
"""TGI router/src/server.rs: `format!("{}-{}", info.version, info.docker_label.unwrap_or("native"))`."""
_LLAMA_CPP = re.compile(r"^b\d+-[0-9a-f]{7,}$")
"""llama.cpp common/build-info: `b<build>-<commit>`."""
_FIREWORKS_MODEL = re.compile(r"^accounts/[^/]+/(?:models|deployments|deployedModels)/")


def answered_by(exchange: Exchange, protocol: str) -> str:
    """Return the provider that answered an exchange in `protocol` (its name).

    Empty where nothing tells and no answer is at hand (it may not have been recorded): what the span says holds.
    """
    told = by_host(exchange.host) or _by_answer(exchange) or _by_request(exchange)
    if told is not None:
        return told
    unread = not exchange.streamed and exchange.value is None
    return "" if unread else provider(exchange.host, exchange.port, protocol)


def _by_answer(exchange: Exchange) -> str | None:
    for name, found in RESPONSE_HEADERS.items():
        if name in exchange.response_headers:
            return found
    events = exchange.events
    # The first two events of a stream show its head, the last ones the finish and the usage.
    shown: Iterable[Mapping[str, Any]] = (
        (*events[:2], *events[-3:]) if exchange.streamed else (exchange.body,)
    )
    for body in shown:
        for sign, found in _SIGNS:
            if sign(body):
                return found
    return None


def _by_request(exchange: Exchange) -> str | None:
    if "/openai/deployments/" in exchange.path:
        return "azure.ai.openai"
    agent = text(exchange.request_headers.get("user-agent")) or ""
    for beginning, found in USER_AGENTS:
        if agent.startswith(beginning):
            return found
    if _SPEAKEASY.match(agent):
        return "mistral_ai"
    return None


def _fingerprint(body: Mapping[str, Any]) -> str:
    return text(body.get("system_fingerprint")) or ""


def _usage(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(body.get("usage"))


def _in_choice(*names: str) -> Callable[[Mapping[str, Any]], bool]:
    def found(body: Mapping[str, Any]) -> bool:
        return any(name in mapping(choice) for choice in sequence(body.get("choices")) for name in names)

    return found


def _azure(body: Mapping[str, Any]) -> bool:
    return "prompt_filter_results" in body or _in_choice("content_filter_results")(body)


def _vllm(body: Mapping[str, Any]) -> bool:
    if _fingerprint(body).startswith("vllm-"):
        return True
    if (text(body.get("id")) or "").startswith(("embd-", "rerank-")):
        return True
    return "kv_transfer_params" in body or "prompt_logprobs" in body or _in_choice("stop_reason")(body)


def _lm_studio(body: Mapping[str, Any]) -> bool:
    named = _fingerprint(body)
    return bool(named) and named == body.get("model")


def _openrouter(body: Mapping[str, Any]) -> bool:
    return _in_choice("native_finish_reason")(body) or (
        isinstance(body.get("provider"), str) and (text(body.get("id")) or "").startswith("gen-")
    )


def _deepseek(body: Mapping[str, Any]) -> bool:
    model = text(body.get("model")) or ""
    return "prompt_cache_miss_tokens" in _usage(body) and model.startswith("deepseek")


_SIGNS: tuple[tuple[Callable[[Mapping[str, Any]], bool], str], ...] = (
    (lambda body: "x_groq" in body, "groq"),  # groq.types.chat.chat_completion_chunk.XGroq
    (lambda body: _fingerprint(body) == "fp_ollama", "ollama"),  # ollama openai/openai.go
    (_azure, "azure.ai.openai"),  # learn.microsoft.com, "Content filtering"
    (_openrouter, "openrouter"),  # openrouter.ai/docs, "API Reference"
    (lambda body: "cost_in_usd_ticks" in _usage(body), "x_ai"),  # docs.x.ai, "Cost Tracking"
    (lambda body: "num_sources_used" in _usage(body), "x_ai"),  # docs.x.ai, "Live Search"
    (lambda body: "search_context_size" in _usage(body), "perplexity"),  # docs.perplexity.ai, Sonar API
    (_deepseek, "deepseek"),  # api-docs.deepseek.com, "Context Caching"
    (lambda body: "perf_metrics" in body, "fireworks"),  # docs.fireworks.ai, perf_metrics_in_response
    (lambda body: bool(_FIREWORKS_MODEL.match(text(body.get("model")) or "")), "fireworks"),
    (_vllm, "vllm"),  # vllm entrypoints/openai/*/protocol.py, fingerprint.py
    (_in_choice("matched_stop"), "sglang"),  # sglang entrypoints/openai/protocol.py
    (lambda body: bool(_TGI.match(_fingerprint(body))), "tgi"),
    (lambda body: bool(_LLAMA_CPP.match(_fingerprint(body))), "llama_cpp"),
    (_lm_studio, "lm_studio"),  # lmstudio.ai/docs: the fingerprint is the model's name
    (lambda body: "time_info" in body, "cerebras"),  # cerebras.cloud.sdk ChatCompletionResponse.time_info
    (_in_choice("seed"), "together"),  # together.types.chat.chat_completion.Choice.seed
    (lambda body: body.get("object") == "rerank", "together"),  # together.types.rerank_create_response
    (lambda body: "billed_units" in mapping(body.get("meta")), "cohere"),  # cohere.types.api_meta
)
"""(what a response body or one event of a stream shows, provider), tried in order."""
