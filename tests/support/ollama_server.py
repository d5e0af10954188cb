"""A loopback server that speaks Ollama's own wire format: JSON lines, counts and durations, failures included.

What it does is chosen by the model's name: `llama3.2` answers, `cut` breaks off, `missing` is not there, and so
on. As in Ollama, a request that does not say `"stream": false` is streamed.
"""

from __future__ import annotations

import json
from typing import Any

from loopback import Asked, Loopback, Reply, as_json

COUNTS: dict[str, int] = {
    "total_duration": 4_883_583_458,
    "load_duration": 1_334_875,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 342_546_000,
    "eval_count": 282,
    "eval_duration": 4_535_599_000,
}
ERRORS = {
    "unauthorised": (401, "unauthorized"),
    "missing": (404, "model 'missing' not found"),
    "refused": (400, "invalid options: temperature"),
    "limited": (429, "you have reached your hourly usage limit"),
    "broken": (500, "llama runner process has terminated: signal: killed"),
    "busy": (503, "server busy, please try again. maximum pending requests exceeded"),
}
VECTOR = [0.25, -0.5, 1.0, 0.125]


class OllamaServer(Loopback):
    """`url` is the client's host."""

    def reply(self, asked: Asked) -> Reply:
        model = asked.body.get("model", "")
        if model in ERRORS:
            status, message = ERRORS[model]
            return as_json({"error": message}, status)
        if asked.path == "/api/embed":
            texts = asked.body["input"] if isinstance(asked.body["input"], list) else [asked.body["input"]]
            counts = {"total_duration": 14_143_917, "load_duration": 1_019_500, "prompt_eval_count": 8}
            return as_json({"model": model, "embeddings": [VECTOR for _ in texts], **counts})
        if asked.path == "/api/embeddings":
            return as_json({"embedding": VECTOR})
        if asked.path == "/api/tags":
            return as_json({"models": []})
        if asked.path not in {"/api/chat", "/api/generate"}:
            return as_json({"error": "not found"}, 404)
        lines = _lines(asked.body, chat=asked.path == "/api/chat")
        if not asked.body.get("stream", True):
            return as_json(_whole(lines))
        if model == "error-in-stream":
            lines[3:] = [{"error": "an error was encountered while running the model: EOF"}]
        if model == "short":
            lines = lines[:3]
        pieces = [json.dumps(line).encode() + b"\n" for line in lines]
        pause = 0.02 if model == "slow" else 0.0
        return Reply(pieces, content_type="application/x-ndjson", cut=model == "cut", pause=pause)


def _lines(request: dict[str, Any], *, chat: bool) -> list[dict[str, Any]]:
    head = {"model": request["model"], "created_at": "2026-11-24T08:52:19.385406Z"}
    if not chat and not request.get("prompt"):
        return [{**head, "response": "", "done": True, "done_reason": "load"}]
    if chat and not request.get("messages"):
        return [
            {**head, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "load"}
        ]
    said = [{"thinking": piece} for piece in _pieces("The user greets me.")] if request.get("think") else []
    said += (
        _said(request)
        if chat
        else [{"content": piece} for piece in _pieces(f"You said: {request['prompt']}")]
    )
    lines = [_line(head, piece, chat=chat) for piece in said]
    reason = "length" if (request.get("options") or {}).get("num_predict") == 1 else "stop"
    end = _line(head, {}, chat=chat)
    return [*lines, {**end, "done": True, "done_reason": reason, **COUNTS}]


def _said(request: dict[str, Any]) -> list[dict[str, Any]]:
    last = request["messages"][-1]
    if last["role"] == "tool":
        text = f"The tool said {last['content']}."
    elif request.get("tools"):
        return [
            {
                "tool_calls": [
                    {"id": f"call_{n}", "function": {"index": n, "name": "lookup", "arguments": {"key": key}}}
                ]
            }
            for n, key in enumerate(("alpha", "beta"))
        ]
    elif isinstance(request.get("format"), dict):
        text = json.dumps({"city": "Paris", "people": 2})
    else:
        text = f"You said: {last['content']}"
    return [{"content": piece} for piece in _pieces(text)]


def _line(head: dict[str, Any], piece: dict[str, Any], *, chat: bool) -> dict[str, Any]:
    if chat:
        return {**head, "message": {"role": "assistant", "content": "", **piece}, "done": False}
    thinking = {"thinking": piece["thinking"]} if "thinking" in piece else {}
    return {**head, "response": piece.get("content", ""), **thinking, "done": False}


def _whole(lines: list[dict[str, Any]]) -> dict[str, Any]:
    found = json.loads(json.dumps(lines[-1]))
    for line in lines[:-1]:
        _add(found.get("message", found), line.get("message") or line)
    return dict(found)


def _add(whole: dict[str, Any], piece: dict[str, Any]) -> None:
    for key in ("content", "thinking", "response"):
        if key in piece:
            whole[key] = whole.get(key, "") + piece[key]
    if "tool_calls" in piece:
        whole["tool_calls"] = whole.get("tool_calls", []) + piece["tool_calls"]


def _pieces(text: str) -> list[str]:
    return [text[start : start + 6] for start in range(0, len(text), 6)]
