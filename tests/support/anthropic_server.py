"""A loopback server that speaks the wire format of Anthropic's Messages API, failures included.

What it does is chosen by the model's name: `claude-sonnet-5` answers, `overloaded` is refused once with 529,
`cut` breaks off, and so on. Vertex AI's paths (`MODEL:rawPredict`) are answered with the same bodies.
"""

from __future__ import annotations

import json
import re
from typing import Any

from loopback import Asked, Loopback, Reply, as_json, sse

USAGE: dict[str, Any] = {
    "input_tokens": 21,
    "cache_creation_input_tokens": 188,
    "cache_read_input_tokens": 2048,
    "cache_creation": {"ephemeral_5m_input_tokens": 188, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 93,
    "service_tier": "standard",
}
HOUR = {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 88}
ERRORS = {
    "unauthorised": (401, "authentication_error", "invalid x-api-key"),
    "refused": (400, "invalid_request_error", "messages: at least one message is required"),
    "always-limited": (429, "rate_limit_error", "This request would exceed your rate limit."),
    "broken": (500, "api_error", "Internal server error"),
    "always-overloaded": (529, "overloaded_error", "Overloaded"),
}
ONCE = {"limited": ERRORS["always-limited"], "overloaded": ERRORS["always-overloaded"]}
CITATION = {
    "type": "web_search_result_location",
    "url": "https://example.org/paris",
    "title": "Paris",
    "encrypted_index": "Eo8BCioIAhgBIiQ",
    "cited_text": "Paris has 2,048,472 inhabitants.",
}
_VERTEX = re.compile(r"/publishers/anthropic/models/([^/:]+):(?:rawPredict|streamRawPredict)$")


class AnthropicServer(Loopback):
    """`url` is the base URL for the client; for the Vertex client it is `url + "/v1"`."""

    def reply(self, asked: Asked) -> Reply:
        on_vertex = _VERTEX.search(asked.path)
        if asked.path.endswith("/count_tokens") or (on_vertex and on_vertex[1] == "count-tokens"):
            return as_json({"input_tokens": 14})
        if not on_vertex and asked.path != "/v1/messages":
            return as_json(
                {"type": "error", "error": {"type": "not_found_error", "message": asked.path}}, 404
            )
        model = on_vertex[1] if on_vertex else asked.body.get("model", "")
        if model in ERRORS:
            return _error(*ERRORS[model])
        if model in ONCE and self.once(model):
            return _error(*ONCE[model], retry_after_ms="5")
        message = message_for(asked.body, model)
        headers = {"request-id": "req_011"}
        if not asked.body.get("stream"):
            return as_json(message, request_id="req_011")
        events = events_for(message)
        if model == "error-in-stream":
            overloaded = {"type": "overloaded_error", "message": "Overloaded"}
            events[4:] = [{"type": "error", "error": overloaded, "request_id": "req_011"}]
        if model == "short":
            events = events[:4]
        pause = 0.02 if model == "slow" else 0.0
        return Reply(sse(events), 200, "text/event-stream; charset=utf-8", headers, model == "cut", pause)


def _error(status: int, kind: str, message: str, **headers: str) -> Reply:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011"}
    return as_json(body, status, request_id="req_011", **headers)


def message_for(request: dict[str, Any], model: str) -> dict[str, Any]:
    """What the model says: thinking if it was asked for, tools if they are on offer, an answer otherwise."""
    content: list[dict[str, Any]] = []
    usage = dict(USAGE)
    if (request.get("thinking") or {}).get("type") == "enabled":
        content.append({"type": "thinking", "thinking": "The user greets me.", "signature": "EqQBCgIYAg=="})
        usage["output_tokens_details"] = {"thinking_tokens": 40}
    if model == "redacted":
        content.append({"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix"})
    if '"ttl": "1h"' in json.dumps(request):
        usage["cache_creation"] = HOUR
    reason = "end_turn"
    said, tools = _said(request), request.get("tools") or []
    if any(str(tool.get("type", "")).startswith("web_search") for tool in tools):
        content += _searched()
        usage["server_tool_use"] = {"web_search_requests": 1, "web_fetch_requests": 0}
    elif tools and said is not None:
        content += [_call(number, key) for number, key in enumerate(("alpha", "beta"))]
        reason = "tool_use"
    elif "output_config" in request:
        content.append({"type": "text", "text": json.dumps({"city": "Paris", "people": 2})})
    elif said is None:
        content.append({"type": "text", "text": f"The tool said {_result(request)}."})
    else:
        content.append({"type": "text", "text": f"You said: {said}"})
    if model == "refuses":
        content, reason = [], "refusal"
    if request["max_tokens"] == 1:
        reason = "max_tokens"
    return {
        "id": "msg_01", "type": "message", "role": "assistant", "model": f"{model}-20250929", "content": content,
        "stop_reason": reason, "stop_sequence": None, "usage": usage,
    }  # fmt: skip


def _said(request: dict[str, Any]) -> str | None:
    """The text of the last message; None if it brings a tool's result."""
    content = request["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    if any(block["type"] == "tool_result" for block in content):
        return None
    return "".join(block.get("text", "") for block in content)


def _result(request: dict[str, Any]) -> str:
    content = request["messages"][-1]["content"][0]["content"]
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


def _call(number: int, key: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "lookup", "input": {"key": key, "n": number}}


def _searched() -> list[dict[str, Any]]:
    result = {
        "type": "web_search_result", "title": "Paris", "url": "https://example.org/paris",
        "encrypted_content": "EqgfCioIARgB", "page_age": "2 days ago",
    }  # fmt: skip
    return [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "paris"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [result]},
        {"type": "text", "text": "Two million.", "citations": [CITATION]},
    ]


def events_for(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The message as it is streamed: pings in between, usage growing, tool input in pieces of JSON."""
    usage = message["usage"]
    opening = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    opening["usage"].pop("output_tokens_details", None)
    opening["usage"].pop("server_tool_use", None)
    events: list[dict[str, Any]] = [{"type": "message_start", "message": opening}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        deltas, start = _deltas(block)
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    later = {key: value for key, value in usage.items() if key not in {"cache_creation", "service_tier"}}
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": later})
    events.append({"type": "message_stop"})
    return events


def _deltas(block: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    match block["type"]:
        case "text":
            cited = [{"type": "citations_delta", "citation": item} for item in block.get("citations", [])]
            said = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
            return said + cited, {"type": "text", "text": ""}
        case "thinking":
            thought = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return [*thought, signed], {"type": "thinking", "thinking": "", "signature": ""}
        case "tool_use" | "server_tool_use":
            pieces = ["", *_pieces(json.dumps(block["input"]))]
            return [{"type": "input_json_delta", "partial_json": piece} for piece in pieces], {
                **block,
                "input": {},
            }
        case _:
            return [], block


def _pieces(text: str) -> list[str]:
    return [text[start : start + 6] for start in range(0, len(text), 6)]
