"""A loopback server that speaks Mistral's wire format: chat with thinking, tools, fill-in-the-middle, agents, embeddings.

Shapes as mistralai's models read them. What it does is told by the model's name: `limited` is refused once,
`broken` always, `cut` breaks off in the middle, `invalid` is a request it cannot read.
"""

from __future__ import annotations

import json
from typing import Any

from loopback import Asked, Loopback, Reply, as_json

USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 64},
    "num_cached_tokens": 64,
}
ERRORS: dict[str, tuple[int, dict[str, Any]]] = {
    "unauthorised": (401, {"detail": "Unauthorized"}),
    "broken": (500, {"object": "error", "message": "Service unavailable.", "type": "internal_server_error", "param": None, "code": "1000"}),
    "invalid": (422, {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": {}}]}),
}  # fmt: skip
LIMITED = {
    "object": "error",
    "message": "Rate limit exceeded",
    "type": "rate_limited",
    "param": None,
    "code": "1300",
}
THOUGHT = "The user greets me."


class MistralServer(Loopback):
    def reply(self, asked: Asked) -> Reply:
        request = asked.body
        model = request.get("model", "mistral-medium-latest")
        headers: Any = {"mistral_correlation_id": "corr-1"}
        if model in ERRORS:
            status, body = ERRORS[model]
            return as_json(body, status, **headers)
        if model == "limited" and self.once(model):
            return as_json(LIMITED, 429, **headers)
        if asked.path.endswith("/embeddings"):
            return as_json(embeddings(request), **headers)
        if request.get("stream"):
            events = chunks(request)
            pieces = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
            if model != "cut":
                pieces.append(b"data: [DONE]\n\n")
            return Reply(
                pieces, content_type="text/event-stream; charset=utf-8",
                headers={"mistral-correlation-id": "corr-1"}, cut=model == "cut",
            )  # fmt: skip
        return as_json(body_of(request), **headers)


def said(request: dict[str, Any]) -> dict[str, Any]:
    """The message: calls of tools first if there are tools, thinking before text if that was asked for."""
    messages = request.get("messages")
    if messages is None:
        return {"role": "assistant", "content": "    return a + b", "tool_calls": None}
    last = messages[-1]
    if request.get("tools") and last["role"] == "user":
        calls = [
            {
                "id": f"call0000{n}",
                "function": {"name": "lookup", "arguments": json.dumps({"key": key})},
                "index": n,
            }
            for n, key in enumerate(("alpha", "beta"))
        ]
        return {"role": "assistant", "content": "", "tool_calls": calls}
    if (request.get("response_format") or {}).get("type") == "json_schema":
        return {"role": "assistant", "content": '{"city": "Paris", "people": 2}', "tool_calls": None}
    if last["role"] == "tool":
        return {"role": "assistant", "content": f"The tool said {last['content']}.", "tool_calls": None}
    text = f"You said: {last['content']}"
    if request.get("prompt_mode") == "reasoning":
        thinking = {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}
        return {
            "role": "assistant",
            "content": [thinking, {"type": "text", "text": text}],
            "tool_calls": None,
        }
    return {"role": "assistant", "content": text, "tool_calls": None}


def body_of(request: dict[str, Any]) -> dict[str, Any]:
    message = said(request)
    reason = "tool_calls" if message["tool_calls"] else "stop"
    return {
        "id": "cmpl-e5cc70bb28c444948073e77776eb30ef", "object": "chat.completion", "created": 1,
        "model": request.get("model") or "mistral-medium-2505", "usage": USAGE,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
    }  # fmt: skip


def chunks(request: dict[str, Any]) -> list[dict[str, Any]]:
    message = said(request)
    head = {
        "id": "cmpl-e5cc70bb28c444948073e77776eb30ef",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": request.get("model") or "mistral-medium-2505",
    }

    def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}

    found = [chunk({"role": "assistant", "content": ""})]
    content = message["content"]
    if isinstance(content, list):
        for word in _words(content[0]["thinking"][0]["text"]):
            part = {"type": "thinking", "thinking": [{"type": "text", "text": word}]}
            found.append(chunk({"content": [part]}))
        content = content[1]["text"]
    found.extend(chunk({"content": word}) for word in _words(content))
    if message["tool_calls"]:
        # Mistral sends each call whole, all in the last chunk.
        found.append(chunk({"content": "", "tool_calls": message["tool_calls"]}, "tool_calls", usage=USAGE))
    else:
        found.append(chunk({"content": ""}, "stop", usage=USAGE))
    return found


def _words(text: str) -> list[str]:
    return [word + " " for word in text.split(" ")[:-1]] + text.split(" ")[-1:] if text else []


def embeddings(request: dict[str, Any]) -> dict[str, Any]:
    given = request["input"] if isinstance(request["input"], list) else [request["input"]]
    data = [{"object": "embedding", "index": n, "embedding": [0.5] * 16} for n in range(len(given))]
    return {
        "id": "emb-1", "object": "list", "model": request["model"], "data": data,
        "usage": {"prompt_tokens": 9, "total_tokens": 9, "completion_tokens": 0},
    }  # fmt: skip
