"""A loopback server that speaks Cohere's wire format: chat v2 and v1, embeddings, reranks.

Shapes as cohere's types read them; streams of v2 are named server-sent events, those of v1 JSON lines. What it
does is told by the model's name: `limited` is refused once, `broken` always, `cut` breaks off, `failing` ends
its stream with an error.
"""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

from loopback import Asked, Loopback, Reply, as_json, sse

USAGE = {
    "billed_units": {"input_tokens": 21, "output_tokens": 30},
    "tokens": {"input_tokens": 494, "output_tokens": 33},
    "cached_tokens": 16,
}
META = {"api_version": {"version": "2"}, **USAGE}
ERRORS = {
    "unauthorised": (401, {"id": "e1", "message": "invalid api token"}),
    "broken": (500, {"id": "e1", "message": "internal server error"}),
    "invalid": (400, {"id": "e1", "message": "invalid request: messages must not be empty"}),
}
PLAN = "I will look both keys up."
CITATION = {"start": 0, "end": 3, "text": "You", "sources": [{"type": "document", "id": "doc-1", "document": {"id": "doc-1", "snippet": "Paris is big."}}], "content_index": 0, "type": "TEXT_CONTENT"}  # fmt: skip
LENGTHS = {"float": 8, "int8": 8, "uint8": 8, "binary": 1, "ubinary": 1}


class CohereServer(Loopback):
    def reply(self, asked: Asked) -> Reply:
        request = asked.body
        model = request.get("model", "")
        if model in ERRORS:
            status, body = ERRORS[model]
            return as_json(body, status)
        if model == "limited" and self.once(model):
            return as_json(
                {"id": "e1", "message": "trial key: limited to 20 calls / minute"}, 429, retry_after_ms="5"
            )
        if asked.path.endswith("/embed"):
            return as_json(embeddings(request, v1=asked.path.endswith("/v1/embed")))
        if asked.path.endswith("/rerank"):
            return as_json(ranks(request))
        if asked.path.endswith("/v1/chat"):
            return _v1(request)
        if request.get("stream"):
            pieces = [*sse(events(request)), b"data: [DONE]\n\n"]
            return Reply(pieces, content_type="text/event-stream", cut=model == "cut")
        return as_json(body_of(request))


def said(request: dict[str, Any]) -> dict[str, Any]:
    """The message: a plan and calls of tools first if there are tools; citations if there are documents."""
    last = request["messages"][-1]
    if request.get("tools") and last["role"] == "user":
        calls = [
            {
                "id": f"lookup_{key}",
                "type": "function",
                "function": {"name": "lookup", "arguments": json.dumps({"key": key})},
            }
            for key in ("alpha", "beta")
        ]
        return {"role": "assistant", "tool_plan": PLAN, "tool_calls": calls}
    if (request.get("response_format") or {}).get("type") == "json_object":
        return {"role": "assistant", "content": [{"type": "text", "text": '{"city": "Paris", "people": 2}'}]}
    if last["role"] == "tool":
        return {"role": "assistant", "content": [{"type": "text", "text": "The tool said 42."}]}
    content = [{"type": "text", "text": f"You said: {last['content']}"}]
    if request.get("thinking"):
        content.insert(0, {"type": "thinking", "thinking": "A greeting, then."})
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if request.get("documents"):
        message["citations"] = [CITATION]
    return message


def body_of(request: dict[str, Any]) -> dict[str, Any]:
    message = said(request)
    reason = "TOOL_CALL" if "tool_calls" in message else "COMPLETE"
    return {
        "id": "c14c80c3-18eb-4519-9460-6c92edd8cfb4",
        "finish_reason": reason,
        "message": message,
        "usage": USAGE,
    }


def events(request: dict[str, Any]) -> list[dict[str, Any]]:
    message = said(request)
    start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    found: list[dict[str, Any]] = [
        {"id": "29f14a5a-11de-4cae-9800-25e4747408ea", "type": "message-start", "delta": {"message": start}}
    ]
    found.extend(
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": word}}}
        for word in _words(message.get("tool_plan", ""))
    )
    for index, call in enumerate(message.get("tool_calls", [])):
        opening = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
        found.append(
            {"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": opening}}}
        )
        arguments = call["function"]["arguments"]
        for piece in (arguments[:5], arguments[5:]):
            calls = {"function": {"arguments": piece}}
            found.append(
                {"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": calls}}}
            )
        found.append({"type": "tool-call-end", "index": index})
    for index, part in enumerate(message.get("content", [])):
        kind = part["type"]
        opening = {"type": kind, kind: ""}
        found.append({"type": "content-start", "index": index, "delta": {"message": {"content": opening}}})
        found.extend(
            {"type": "content-delta", "index": index, "delta": {"message": {"content": {kind: word}}}}
            for word in _words(part[kind])
        )
        found.append({"type": "content-end", "index": index})
    for index, citation in enumerate(message.get("citations", [])):
        found.append(
            {"type": "citation-start", "index": index, "delta": {"message": {"citations": citation}}}
        )
        found.append({"type": "citation-end", "index": index})
    reason = "TOOL_CALL" if "tool_calls" in message else "COMPLETE"
    end: dict[str, Any] = {"finish_reason": reason, "usage": USAGE}
    if request["model"] == "failing":
        end = {"finish_reason": "ERROR", "error": "the model fell over", "usage": USAGE}
    return [*found, {"type": "message-end", "delta": end}]


def _v1(request: dict[str, Any]) -> Reply:
    text = f"You said: {request['message']}"
    response = {
        "response_id": "r1", "generation_id": "g1", "text": text, "finish_reason": "COMPLETE",
        "chat_history": [], "meta": {"api_version": {"version": "1"}, **USAGE},
    }  # fmt: skip
    if not request.get("stream"):
        return as_json(response)
    lines = [{"is_finished": False, "event_type": "stream-start", "generation_id": "g1"}]
    lines.extend(
        {"is_finished": False, "event_type": "text-generation", "text": word} for word in _words(text)
    )
    lines.append({"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE", "response": response})  # fmt: skip
    return Reply(
        [json.dumps(line).encode() + b"\n" for line in lines], content_type="application/stream+json"
    )


def _words(text: str) -> list[str]:
    return [word + " " for word in text.split(" ")[:-1]] + text.split(" ")[-1:] if text else []


def embeddings(request: dict[str, Any], *, v1: bool) -> dict[str, Any]:
    count = sum(len(request.get(key) or []) for key in ("texts", "images", "inputs"))
    billed = {"images": 1, "image_tokens": 258} if request.get("images") else {"input_tokens": 5 * count}
    meta = {"api_version": {"version": "2"}, "billed_units": billed}
    kinds = request.get("embedding_types")
    if v1 and not kinds:
        return {"id": "e1", "response_type": "embeddings_floats", "embeddings": [[0.5] * 8] * count, "texts": request["texts"], "meta": meta}  # fmt: skip
    packed = base64.b64encode(struct.pack("<8f", *[0.5] * 8)).decode()
    values = {
        kind: [packed if kind == "base64" else [1] * LENGTHS[kind]] * count for kind in kinds or ["float"]
    }
    return {"id": "e1", "response_type": "embeddings_by_type", "embeddings": values, "texts": request.get("texts"), "meta": meta}  # fmt: skip


def ranks(request: dict[str, Any]) -> dict[str, Any]:
    """The documents from the last to the first."""
    documents = request["documents"]
    order = list(reversed(range(len(documents))))[: request.get("top_n") or len(documents)]
    results = []
    for place, index in enumerate(order):
        result: dict[str, Any] = {"index": index, "relevance_score": 0.9 - place / 10}
        if request.get("return_documents"):
            given = documents[index]
            result["document"] = given if isinstance(given, dict) else {"text": given}
        results.append(result)
    return {"id": "rr1", "results": results, "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}}  # fmt: skip
