"""A loopback server that speaks the OpenAI API the way one of its many imitators does.

`CompatibleServer("groq")` answers as Groq's API would: what stands at the head of a response, in its choices, in
its usage, in its headers, and where a stream brings the usage. Shapes are from the providers' API references and
from the types of their SDKs. The model's name asks for failures: `limited` is refused once, `broken` always,
`cut` breaks off in the middle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import openai_server
from loopback import Asked, Loopback, Reply

PLAIN = {"prompt_tokens": 1200, "completion_tokens": 40, "total_tokens": 1240}
CACHED = {"prompt_tokens_details": {"cached_tokens": 1024}}
REASONED = {"completion_tokens_details": {"reasoning_tokens": 16}}
THOUGHT = "Let me think."
SOURCES: list[dict[str, Any]] = [
    {"title": "Paris", "url": "https://example.org/paris", "date": "2026-01-02", "last_updated": "2026-02-03", "snippet": "Paris is big."},
    {"title": "Rome", "url": "https://example.org/rome", "date": None, "last_updated": None, "snippet": "Rome is warm."},
]  # fmt: skip
FILTERED = {
    name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")
}
PERF = {"fireworks-prompt-tokens": "1200", "fireworks-server-time-to-first-token": "0.123"}


@dataclass(frozen=True)
class Flavour:
    """How one provider answers."""

    model: str
    usage: dict[str, Any] = field(default_factory=lambda: dict(PLAIN))
    head: dict[str, Any] = field(default_factory=dict)
    choice: dict[str, Any] = field(default_factory=dict)
    reasoning: str = ""
    """The field that a thought stands in."""
    headers: dict[str, str] = field(default_factory=dict)
    usage_in_stream: Literal["asked", "last", "finish", "each", "x_groq"] = "asked"
    """With an event of its own if the request asks, always so, with the finish, with every event, in `x_groq`."""
    error: dict[str, Any] = field(
        default_factory=lambda: {"error": {"message": "Slow down.", "type": "limited", "code": "limited"}}
    )


FLAVOURS = {
    "groq": Flavour(
        "moonshotai/kimi-k2-instruct",
        {"queue_time": 0.05, **PLAIN, "prompt_time": 0.002, "completion_time": 0.1, "total_time": 0.102, **CACHED, **REASONED},
        {"system_fingerprint": "fp_6ce26f69a0", "service_tier": "on_demand", "x_groq": {"id": "req_01jx"}},
        reasoning="reasoning", headers={"x-groq-region": "fra"}, usage_in_stream="x_groq",
    ),
    "together": Flavour(
        "meta-llama/Llama-3.3-70B-Instruct-Turbo", {**PLAIN, "cached_tokens": 1024}, {"prompt": []},
        {"seed": 1234567890}, usage_in_stream="finish",
    ),
    "fireworks": Flavour(
        "accounts/fireworks/models/glm-5p1", {**PLAIN, **CACHED}, headers=PERF, usage_in_stream="finish",
    ),
    "deepseek": Flavour(
        "deepseek-reasoner",
        {**PLAIN, **CACHED, **REASONED, "prompt_cache_hit_tokens": 1024, "prompt_cache_miss_tokens": 176},
        {"system_fingerprint": "fp_eaab8d114b_prod0820_fp8_kvcache"}, reasoning="reasoning_content", usage_in_stream="finish",
    ),
    "x_ai": Flavour(
        "grok-4-0709",
        {
            "prompt_tokens": 1200, "completion_tokens": 24, "total_tokens": 1240,
            "prompt_tokens_details": {"text_tokens": 1200, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 1024},
            "completion_tokens_details": {"reasoning_tokens": 16, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
            "num_sources_used": 2, "cost_in_usd_ticks": 37756000,
            "server_side_tool_usage_details": {"web_search_calls": 2, "x_search_calls": 1, "code_interpreter_calls": 0},
        },
        {"system_fingerprint": "fp_3a7881249c", "citations": [source["url"] for source in SOURCES]},
        reasoning="reasoning_content", usage_in_stream="last",
        error={"code": "Some resource has been exhausted", "error": "Slow down."},
    ),
    "openrouter": Flavour(
        "anthropic/claude-sonnet-4.5",
        {
            **PLAIN, "cost": 0.0123, "is_byok": False, **CACHED, "cost_details": {"upstream_inference_cost": None},
            "completion_tokens_details": {"reasoning_tokens": 16, "image_tokens": 0}, "server_tool_use": {"web_search_requests": 1},
        },
        {"id": "gen-1756379012-XyZ", "provider": "Anthropic"}, {"native_finish_reason": "end_turn"},
        reasoning="reasoning", usage_in_stream="last",
        error={"error": {"message": "Slow down.", "code": 429, "metadata": {"provider_name": "Anthropic"}}},
    ),
    "perplexity": Flavour(
        "sonar-pro",
        {
            **PLAIN, "search_context_size": "low", "num_search_queries": 3,
            "cost": {"input_tokens_cost": 0.0036, "output_tokens_cost": 0.0006, "request_cost": 0.006, "total_cost": 0.0102},
        },
        {"citations": [source["url"] for source in SOURCES], "search_results": SOURCES}, usage_in_stream="each",
    ),
    "azure.ai.openai": Flavour(
        "gpt-4o-mini-2024-07-18", {**PLAIN, **CACHED, **REASONED}, {"system_fingerprint": "fp_1"}, {"content_filter_results": FILTERED},
        headers={"apim-request-id": "apim-1", "x-ms-region": "Sweden Central", "x-ms-deployment-name": "my-deployment"},
        error={"error": {"code": "429", "message": "Slow down."}},
    ),
    "vllm": Flavour(
        "Qwen/Qwen3-8B", {"prompt_tokens": 1200, "total_tokens": 1240, "completion_tokens": 40, "prompt_tokens_details": {"cached_tokens": 1024}},
        {"id": "chatcmpl-8a3f", "system_fingerprint": "vllm-0.15.0-tp2-0a1b2c3d", "prompt_logprobs": None, "prompt_token_ids": None, "kv_transfer_params": None},
        {"stop_reason": None, "token_ids": None}, reasoning="reasoning_content",
        error={"error": {"message": "Slow down.", "type": "Too Many Requests", "param": None, "code": 429}},
    ),
    "lm_studio": Flavour("qwen2.5-7b-instruct", head={"system_fingerprint": "qwen2.5-7b-instruct", "stats": {}}),
    "tgi": Flavour(
        "meta-llama/Llama-3.1-8B-Instruct", head={"id": "", "system_fingerprint": "3.3.6-sha-e3d5c0a"},
        error={"error": "Slow down.", "error_type": "overloaded"},
    ),
    "llama_cpp": Flavour("gpt-3.5-turbo", head={"system_fingerprint": "b6123-79c1160b", "timings": {"prompt_n": 1200, "predicted_n": 40}}),
    "sglang": Flavour("Qwen/Qwen3-8B", {**PLAIN, "reasoning_tokens": 0}, {"metadata": {"weight_version": "default"}}, {"matched_stop": 151645}),
    "litellm": Flavour("gpt-4o-mini", headers={"x-litellm-call-id": "abc"}),
    "openai": Flavour("some-model"),
}  # fmt: skip
"""By the provider's name; the last one leaves no sign of who it is."""


class CompatibleServer(Loopback):
    def __init__(self, flavour: str) -> None:
        self.flavour = FLAVOURS[flavour]
        super().__init__()

    def reply(self, asked: Asked) -> Reply:
        request, flavour = asked.body, self.flavour
        model = request.get("model", "")
        if model == "broken" or (model == "limited" and self.once(model)):
            status = 500 if model == "broken" else 429
            return self._json(flavour.error, status, {"retry-after": "0.01"})
        if asked.path.endswith("/rerank"):
            return self._json(ranks(request))
        if asked.path.endswith("/embeddings"):
            return self._json({**openai_server.embeddings(request), "model": model})
        if asked.path.endswith("/completions") and "prompt" in request:
            return self._json(
                {**openai_server.completion(request), "model": model, **flavour.head, "prompt": []}
            )
        if not request.get("stream"):
            return self._json(self.body(request))
        pieces = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in self.events(request)]
        if flavour.head.get("provider"):
            pieces.insert(0, b": OPENROUTER PROCESSING\n\n")
        pieces.append(b"data: [DONE]\n\n")
        return Reply(pieces, content_type="text/event-stream", headers=flavour.headers, cut=model == "cut")

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
        return Reply(json.dumps(value).encode(), status, headers={**self.flavour.headers, **(headers or {})})

    def body(self, request: dict[str, Any]) -> dict[str, Any]:
        flavour = self.flavour
        body = openai_server.chat_body(request)
        del body["service_tier"], body["system_fingerprint"]
        for choice in body["choices"]:
            choice.update(flavour.choice)
            if flavour.reasoning:
                choice["message"][flavour.reasoning] = THOUGHT
        found = {**body, "model": flavour.model, "usage": flavour.usage, **flavour.head}
        if "x-ms-region" in flavour.headers:
            found["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": FILTERED}]
        return found

    def events(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        flavour, where = self.flavour, self.flavour.usage_in_stream
        asked = bool((request.get("stream_options") or {}).get("include_usage"))
        given = openai_server.chat_events({**request, "stream_options": None})
        head = {
            key: value
            for key, value in flavour.head.items()
            if key not in {"x_groq", "stats", "timings", "prompt"}
        }
        events = [{**event, "model": flavour.model, **head} for event in given]
        if flavour.reasoning:
            delta = {"role": "assistant", "content": "", flavour.reasoning: THOUGHT}
            events.insert(1, {**events[0], "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        for event in events:
            for choice in event["choices"]:
                choice.update(
                    {
                        key: value
                        for key, value in flavour.choice.items()
                        if choice["finish_reason"] or key == "seed"
                    }
                )
            if where == "each":
                event["usage"] = flavour.usage
        if where == "finish":
            events[-1]["usage"] = flavour.usage
        elif where == "x_groq":
            events[0]["x_groq"] = {"id": "req_01jx"}
            events[-1]["x_groq"] = {"id": "req_01jx", "usage": flavour.usage}
        elif where == "last" or (where == "asked" and asked):
            events.append({**events[-1], "choices": [], "usage": flavour.usage})
        if "x-ms-region" in flavour.headers:
            first = {
                "choices": [],
                "created": 0,
                "id": "",
                "model": "",
                "object": "",
                "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTERED}],
            }
            events.insert(0, first)
        return events


def ranks(request: dict[str, Any]) -> dict[str, Any]:
    """Together's rerank: the documents from the last to the first."""
    documents = request["documents"]
    order = list(reversed(range(len(documents))))[: request.get("top_n") or len(documents)]
    results = [
        {"index": index, "relevance_score": 0.9 - place / 10, "document": {"text": documents[index]}}
        for place, index in enumerate(order)
    ]
    usage = {"prompt_tokens": 60, "completion_tokens": 0, "total_tokens": 60}
    return {
        "object": "rerank",
        "id": "oEs7pcG-2kFHot",
        "model": request["model"],
        "results": results,
        "usage": usage,
    }
