"""A loopback server that speaks the wire formats of text-generation-inference and text-embeddings-inference.

`/generate`, `/generate_stream`, `/` and model URLs as Hugging Face has them, `/embed`, `/rerank`, feature
extraction, and `/v1/chat/completions` as TGI answers it. The prompt asks for failures: "broken", "busy", "cut".
"""

from __future__ import annotations

import json
from typing import Any

from compatible_server import FLAVOURS, CompatibleServer
from loopback import Asked, Reply, as_json

HEADERS = {
    "x-compute-type": "1-a10g", "x-compute-time": "0.1", "x-inference-time": "90", "x-queue-time": "1",
    "x-prompt-tokens": "12", "x-generated-tokens": "5",
}  # fmt: skip
ERRORS = {
    "broken": (500, {"error": "Request failed during generation: Server error", "error_type": "generation"}),
    "invalid": (422, {"error": "Input validation error: `inputs` too long", "error_type": "validation"}),
    "busy": (429, {"error": "Model is overloaded", "error_type": "overloaded"}),
}
SAID = " Hello to you too"


class TGIServer(CompatibleServer):
    def __init__(self) -> None:
        super().__init__("tgi")

    def reply(self, asked: Asked) -> Reply:
        request, path = asked.body, asked.path
        if "messages" in request:
            return super().reply(asked)
        if path.endswith("/rerank"):
            count = len(request["texts"])
            found = [
                {"index": n, "score": 0.9 - place / 10} for place, n in enumerate(reversed(range(count)))
            ]
            return as_json(found)
        if path.endswith(("/embed", "/pipeline/feature-extraction")):
            given = request["inputs"] if isinstance(request["inputs"], list) else [request["inputs"]]
            return as_json([[0.5] * 8 for _ in given])
        return self._generate(path, request)

    def _generate(self, path: str, request: dict[str, Any]) -> Reply:
        prompt = request["inputs"]
        if not isinstance(prompt, str):
            return as_json({"ok": True})
        if prompt in ERRORS:
            status, refusal = ERRORS[prompt]
            return as_json(refusal, status)
        details = {"finish_reason": "eos_token", "generated_tokens": 5, "seed": None}
        if request.get("stream") or path.endswith("/generate_stream"):
            events = tokens(details)
            pieces = [b"data:" + json.dumps(event).encode() + b"\n\n" for event in events]
            return Reply(
                pieces,
                content_type="text/event-stream",
                headers={"x-compute-type": "1-a10g"},
                cut=prompt == "cut",
            )
        answer: dict[str, Any] = {"generated_text": SAID}
        if (request.get("parameters") or {}).get("details"):
            prefill = [{"id": n, "text": "x", "logprob": None} for n in range(12)]
            answer["details"] = {**details, "prefill": prefill, "tokens": [], "best_of_sequences": None}
        body: Any = answer if path.endswith("/generate") else [answer]
        return Reply(json.dumps(body).encode(), headers=HEADERS)


def tokens(details: dict[str, Any]) -> list[dict[str, Any]]:
    words = [" Hello", " to", " you", " too"]
    found: list[dict[str, Any]] = [
        {
            "index": place + 1,
            "token": {"id": place, "text": word, "logprob": -0.1, "special": False},
            "generated_text": None,
            "details": None,
        }
        for place, word in enumerate(words)
    ]
    last = {"id": 2, "text": "</s>", "logprob": -0.1, "special": True}
    found.append(
        {"index": 5, "token": last, "generated_text": SAID, "details": {**details, "input_length": 12}}
    )
    return found


CHAT_USAGE = FLAVOURS["tgi"].usage
