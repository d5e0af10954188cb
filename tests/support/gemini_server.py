"""A loopback server that speaks the wire format of Google's Gemini API and of Vertex AI's, failures included.

What it does is chosen by the model's name: `gemini-2.5-flash` answers, `limited` is refused once with 429, `cut`
breaks off, and so on. A stream is server-sent events with `?alt=sse`, one JSON array without, as Google has it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from loopback import Asked, Loopback, Reply, as_json

USAGE: dict[str, Any] = {
    "promptTokenCount": 1200,
    "cachedContentTokenCount": 1024,
    "candidatesTokenCount": 40,
    "totalTokenCount": 1240,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1200}],
    "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 1024}],
}
THOUGHTS, TOOL_USE, IMAGE, AUDIO = 22, 10, 258, 75
ERRORS = {
    "unauthorised": (401, "UNAUTHENTICATED", "API key not valid. Please pass a valid API key."),
    "refused": (400, "INVALID_ARGUMENT", "Invalid value at 'contents'."),
    "always-limited": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    "broken": (500, "INTERNAL", "An internal error has occurred."),
    "always-overloaded": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
}
ONCE = {"limited": ERRORS["always-limited"], "overloaded": ERRORS["always-overloaded"]}
_PATH = re.compile(r"^/(?:v1|v1beta|v1beta1)/(?:.+/)?([^/:]+):(\w+)$")
VECTOR = [0.25, -0.5, 1.0, 0.125]


class GeminiServer(Loopback):
    """`url` is the base URL for the client."""

    def reply(self, asked: Asked) -> Reply:
        found = _PATH.match(asked.path)
        if found is None:
            return _error(404, "NOT_FOUND", asked.path)
        model, method = found.groups()
        if model in ERRORS:
            return _error(*ERRORS[model])
        if model in ONCE and self.once(model):
            return _error(*ONCE[model])
        match method:
            case "generateContent":
                return as_json(answer(asked.body, model))
            case "streamGenerateContent":
                return _stream(asked, model)
            case "countTokens":
                return as_json({"totalTokens": 7})
            case _:
                return as_json(_embeddings(asked.body, method))


def _error(status: int, name: str, message: str) -> Reply:
    return as_json({"error": {"code": status, "message": message, "status": name}}, status)


def _stream(asked: Asked, model: str) -> Reply:
    chunks = stream_of(answer(asked.body, model))
    if model == "error-in-stream":
        chunks[2:] = [
            {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
        ]
    if model == "short":
        chunks = chunks[:2]
    pause = 0.02 if model == "slow" else 0.0
    if asked.query.get("alt") == ["sse"]:
        pieces = [b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks]
        return Reply(pieces, content_type="text/event-stream", cut=model == "cut", pause=pause)
    texts = [json.dumps(chunk, indent=2) for chunk in chunks]
    pieces = [f"{',' if number else '['}{text}\n".encode() for number, text in enumerate(texts)]
    return Reply([*pieces, b"]\n"], cut=model == "cut", pause=pause)


def answer(request: dict[str, Any], model: str) -> dict[str, Any]:
    """What the model says, as one response."""
    config = request.get("generationConfig") or {}
    usage = json.loads(json.dumps(USAGE))
    if model == "blocked":
        usage.pop("candidatesTokenCount")
        usage["totalTokenCount"] = 1200
        return {
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": usage,
            "modelVersion": model,
        }
    parts: list[dict[str, Any]] = []
    if (config.get("thinkingConfig") or {}).get("include_thoughts"):  # the SDK writes it in snake_case here
        parts.append({"text": "The user greets me. Greet back.", "thought": True})
        usage["thoughtsTokenCount"] = THOUGHTS
        usage["totalTokenCount"] += THOUGHTS
    _count_media(json.dumps(request["contents"]), usage)
    grounding = None
    tools = {key for tool in request.get("tools") or [] for key in tool}
    results = [
        part["functionResponse"] for part in request["contents"][-1]["parts"] if "functionResponse" in part
    ]
    if results:
        parts.append({"text": f"The tool said {results[0]['response']['result']}."})
    elif "functionDeclarations" in tools:
        parts += [_call(number, city) for number, city in enumerate(("Paris", "Rome"))]
    elif "codeExecution" in tools:
        parts += [
            {"executableCode": {"language": "PYTHON", "code": "print(6*7)"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "42\n"}},
            {"text": "It is 42."},
        ]
        usage["toolUsePromptTokenCount"] = TOOL_USE
        usage["totalTokenCount"] += TOOL_USE
    elif "googleSearch" in tools:
        parts.append({"text": "Two million."})
        grounding = {
            "webSearchQueries": ["population paris", "paris"],
            "groundingChunks": [{"web": {"uri": "https://example.org"}}],
        }
    elif config.get("responseMimeType") == "application/json":
        parts.append({"text": json.dumps({"city": "Paris", "people": 2})})
    else:
        said = "".join(part.get("text", "") for part in request["contents"][-1]["parts"])
        parts.append({"text": f"You said: {said}"})
    reason = {"filtered": "SAFETY", "long": "MAX_TOKENS"}.get(model, "STOP")
    candidates = []
    for index in range(config.get("candidateCount") or 1):
        candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": reason, "index": index}
        if grounding:
            candidate["groundingMetadata"] = grounding
        candidates.append(candidate)
    return {
        "candidates": candidates, "usageMetadata": usage, "modelVersion": f"{model}-001", "responseId": "resp_1",
    }  # fmt: skip


def _count_media(contents: str, usage: dict[str, Any]) -> None:
    for sign, modality, count in (("image/", "IMAGE", IMAGE), ("audio/", "AUDIO", AUDIO)):
        if sign in contents:
            usage["promptTokensDetails"].append({"modality": modality, "tokenCount": count})
            usage["promptTokenCount"] += count
            usage["totalTokenCount"] += count


def _call(number: int, city: str) -> dict[str, Any]:
    call = {"functionCall": {"name": "weather", "args": {"city": city}}}
    return {**call, "thoughtSignature": "Q2xhdWRl"} if number == 0 else call


def stream_of(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """The response in pieces: texts cut, everything else whole, the finish reason in the last."""
    head: dict[str, Any] = {key: whole[key] for key in ("modelVersion", "responseId") if key in whole}
    if "candidates" not in whole:
        return [whole]
    early = {key: whole["usageMetadata"][key] for key in ("promptTokenCount",)}
    chunks: list[dict[str, Any]] = []
    for candidate in whole["candidates"]:
        for part in candidate["content"]["parts"]:
            for piece in _pieces(part):
                content = {"parts": [piece], "role": "model"}
                said = {"candidates": [{"content": content, "index": candidate["index"]}]}
                chunks.append({**said, "usageMetadata": early, **head})
        last = chunks[-1]["candidates"][0]
        last.update(
            {key: candidate[key] for key in ("finishReason", "groundingMetadata") if key in candidate}
        )
    chunks[-1]["usageMetadata"] = whole["usageMetadata"]
    return chunks


def _pieces(part: dict[str, Any]) -> list[dict[str, Any]]:
    if "text" not in part:
        return [part]
    text = part["text"]
    return [{**part, "text": text[start : start + 6]} for start in range(0, len(text), 6)]


def _embeddings(request: dict[str, Any], method: str) -> dict[str, Any]:
    match method:
        case "batchEmbedContents":
            return {"embeddings": [{"values": VECTOR} for _ in request["requests"]]}
        case "embedContent":
            return {
                "embedding": {"values": VECTOR},
                "usageMetadata": {"promptTokenCount": 6, "totalTokenCount": 6},
            }
        case _:
            statistics = {"truncated": False, "token_count": 3}
            found = [
                {"embeddings": {"values": VECTOR, "statistics": statistics}} for _ in request["instances"]
            ]
            return {"predictions": found, "metadata": {"billableCharacterCount": 12}}
