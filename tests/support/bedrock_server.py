"""A loopback server that speaks the wire format of Amazon Bedrock's runtime: Converse and InvokeModel, plain and streamed.

What it does is chosen by the model's id in the path. Event streams are written with botocore's own header types
and checksums; `bodies` keeps the exact bytes of every response.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import struct
import threading
import time
from binascii import crc32
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

USAGE = {
    "inputTokens": 21,
    "outputTokens": 34,
    "totalTokens": 2291,
    "cacheReadInputTokens": 2048,
    "cacheWriteInputTokens": 188,
    "cacheDetails": [{"ttl": "5m", "inputTokens": 100}, {"ttl": "1h", "inputTokens": 88}],
}
ERRORS = {
    "denied": (403, "AccessDeniedException", "You don't have access to the model."),
    "invalid": (400, "ValidationException", "The provided model identifier is invalid."),
    "missing": (404, "ResourceNotFoundException", "There is no such model."),
    "broken": (500, "InternalServerException", "The system encountered an unexpected error."),
    "failing": (424, "ModelErrorException", "The model failed."),
}


class BedrockServer:
    """Runs in a thread of its own until `close()`; `url` is the `endpoint_url` for the client."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.requests: list[dict[str, Any]] = []
        self.refusals: dict[str, int] = {}
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.owner = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # connections are made many at once
    owner: BedrockServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Say nothing."""

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = json.loads(raw)
        _, _, model, operation = (unquote(part) for part in self.path.split("/"))
        self.server.owner.requests.append({"headers": dict(self.headers), "body": request, "path": self.path})
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if not self._refused(model):
                self._answer(model, operation, request)

    def _refused(self, model: str) -> bool:
        name = model.partition(".")[2]
        if name == "throttled" and self.server.owner.refusals.setdefault(model, 0) < 2:
            self.server.owner.refusals[model] += 1
            self._error(429, "ThrottlingException", "Too many requests, please wait before trying again.")
            return True
        if name in ERRORS:
            self._error(*ERRORS[name])
            return True
        return False

    def _error(self, status: int, kind: str, message: str) -> None:
        headers = {"x-amzn-ErrorType": f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
        self._send(status, json.dumps({"message": message}).encode(), headers)

    def _answer(self, model: str, operation: str, request: dict[str, Any]) -> None:
        match operation:
            case "converse":
                self._send(200, json.dumps(converse_body(model, request)).encode())
            case "converse-stream":
                self._stream(
                    model, [frame(kind, json.dumps(body)) for kind, body in converse_events(model, request)]
                )
            case "invoke":
                body, counts = invoke_body(model, request)
                self._send(200, json.dumps(body).encode(), counts)
            case _:
                self._stream(model, [chunk(event) for event in invoke_events(model, request)])

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.server.owner.bodies.append(body)
        self.send_response(status)
        for name, value in {"content-type": "application/json", **_IDS, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, model: str, frames: list[bytes]) -> None:
        name = model.partition(".")[2]
        if name == "cut":
            frames = frames[: len(frames) // 2]
        elif name == "short":
            frames[-3:] = [frames[-3][:20]]
        elif name == "overloaded":
            frames[3:] = [frame("throttlingException", '{"message":"Too many tokens."}', message="exception")]
        self.server.owner.bodies.append(b"".join(frames))
        self.send_response(200)
        for header, value in {"content-type": "application/vnd.amazon.eventstream", **_IDS}.items():
            self.send_header(header, value)
        self.send_header("x-amzn-bedrock-content-type", "application/json")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for data in frames:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            if name == "slow":
                time.sleep(0.02)
        if name == "cut":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(b"0\r\n\r\n")


_IDS = {"x-amzn-RequestId": "req-1234", "set-cookie": "session=planted-cookie"}


def frame(kind: str, payload: str, *, message: str = "event") -> bytes:
    """One frame of an event stream, as the service writes it."""
    headers = b""
    named = ":exception-type" if message == "exception" else ":event-type"
    for name, value in ((named, kind), (":content-type", "application/json"), (":message-type", message)):
        headers += (
            bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        )
    body = payload.encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    data = prelude + struct.pack(">I", crc32(prelude)) + headers + body
    return data + struct.pack(">I", crc32(data))


def chunk(event: dict[str, Any]) -> bytes:
    """One event of a vendor's own stream, as InvokeModel wraps it."""
    packed = base64.b64encode(json.dumps(event).encode()).decode()
    return frame("chunk", json.dumps({"bytes": packed, "p": "abcdefghijklm"}))


def pieces(text: str) -> list[str]:
    return [text[start : start + 4] for start in range(0, len(text), 4)]


def _last(request: dict[str, Any]) -> dict[str, Any]:
    """The last block of the last message."""
    block: dict[str, Any] = request["messages"][-1]["content"][-1]
    return block


def _content(model: str, request: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    last = _last(request)
    if "toolResult" in last:
        return [{"text": f"It is {last['toolResult']['content'][0]['json']['degrees']} degrees."}], "end_turn"
    if request.get("toolConfig"):
        calls = [
            {"toolUse": {"toolUseId": f"tooluse_{n}", "name": "weather", "input": {"city": city, "days": n}}}
            for n, city in enumerate(("Rome", "Oslo"))
        ]
        return [{"text": "Let me look."}, *calls], "tool_use"
    if request.get("guardrailConfig"):
        return [{"text": "I cannot answer that."}], "guardrail_intervened"
    said: list[dict[str, Any]] = [{"text": f"You said: {last.get('text', '')}"}]
    if "thinking" in (request.get("additionalModelRequestFields") or {}):
        thought = {"reasoningText": {"text": "A greeting.", "signature": "c2lnbmVk"}}
        said.insert(0, {"reasoningContent": thought})
    return said, "max_tokens" if model.endswith("tight") else "end_turn"


def converse_body(model: str, request: dict[str, Any]) -> dict[str, Any]:
    content, reason = _content(model, request)
    body: dict[str, Any] = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reason,
        "usage": USAGE,
        "metrics": {"latencyMs": 421},
    }
    if reason == "guardrail_intervened":
        body["trace"] = {"guardrail": {"actionReason": "Guardrail blocked.", "inputAssessment": {"g1": {}}}}
    return body


def converse_events(model: str, request: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    content, reason = _content(model, request)
    found: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant", "p": "abcd"})]
    for index, block in enumerate(content):
        deltas: list[dict[str, Any]] = []
        if "toolUse" in block:
            call = block["toolUse"]
            start = {"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}}
            found.append(("contentBlockStart", {"contentBlockIndex": index, "start": start, "p": "ab"}))
            deltas = [{"toolUse": {"input": piece}} for piece in pieces(json.dumps(call["input"]))]
        elif "reasoningContent" in block:
            thought = block["reasoningContent"]["reasoningText"]
            deltas = [{"reasoningContent": {"text": piece}} for piece in pieces(thought["text"])]
            deltas.append({"reasoningContent": {"signature": thought["signature"]}})
        else:
            deltas = [{"text": piece} for piece in pieces(block["text"])]
        found += [
            ("contentBlockDelta", {"contentBlockIndex": index, "delta": delta, "p": "abc"})
            for delta in deltas
        ]
        found.append(("contentBlockStop", {"contentBlockIndex": index, "p": "a"}))
    found.append(("messageStop", {"stopReason": reason, "p": "abcdef"}))
    found.append(("metadata", {"usage": USAGE, "metrics": {"latencyMs": 421}, "p": "ab"}))
    return found


COUNTS = {"x-amzn-bedrock-input-token-count": "7", "x-amzn-bedrock-output-token-count": "5",
          "x-amzn-bedrock-invocation-latency": "300"}  # fmt: skip
METRICS = {"inputTokenCount": 7, "outputTokenCount": 5, "invocationLatency": 300, "firstByteLatency": 100}
ANTHROPIC_USAGE = {"input_tokens": 21, "cache_creation_input_tokens": 188, "cache_read_input_tokens": 2048,
                   "output_tokens": 34}  # fmt: skip


def invoke_body(model: str, request: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    if "embed" in model:
        return _embeddings(model, request), {**COUNTS, "x-amzn-bedrock-output-token-count": "0"}
    vendor = model.partition(".")[0]
    match vendor:
        case "anthropic":
            content = [{"type": "text", "text": "Hello from Claude."}]
            return {"id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
                    "content": content, "stop_reason": "end_turn", "stop_sequence": None,
                    "usage": ANTHROPIC_USAGE}, COUNTS  # fmt: skip
        case "meta":
            return {"generation": "Hello from Llama.", "prompt_token_count": 9, "generation_token_count": 6,
                    "stop_reason": "length"}, COUNTS  # fmt: skip
        case "amazon" if "nova" in model:
            return converse_body(model, request), COUNTS
        case "amazon":
            result = {"tokenCount": 6, "outputText": "Hello from Titan.", "completionReason": "FINISH"}
            return {"inputTextTokenCount": 4, "results": [result]}, COUNTS
        case "mistral" if "messages" in request:
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello from Mistral."},
                "stop_reason": "stop",
            }
            return {"choices": [choice]}, COUNTS
        case "mistral":
            return {"outputs": [{"text": "Hello from Mistral.", "stop_reason": "length"}]}, COUNTS
        case "openai":
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello from gpt-oss."},
                "finish_reason": "stop",
            }
            counts = {"prompt_tokens": 70, "completion_tokens": 30, "total_tokens": 100}
            return {
                "id": "chatcmpl-9",
                "model": "openai.gpt-oss-20b-1:0",
                "choices": [choice],
                "usage": counts,
            }, COUNTS
        case "cohere" if "query" in request:
            ranked = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]
            return {"results": ranked}, {}
        case "cohere":
            return {"generation_id": "gen-1", "response_id": "resp-1", "text": "Hello from Cohere.",
                    "finish_reason": "COMPLETE", "chat_history": []}, COUNTS  # fmt: skip
        case _:
            raise AssertionError(model)


def _embeddings(model: str, request: dict[str, Any]) -> dict[str, Any]:
    vector = [0.25, -0.5, 1.0, 0.125]
    if model.startswith("cohere"):
        return {"id": "emb-1", "response_type": "embeddings_floats", "texts": request["texts"],
                "embeddings": [vector for _ in request["texts"]]}  # fmt: skip
    return {"embedding": vector, "embeddingsByType": {"float": vector}, "inputTextTokenCount": 3}


def invoke_events(model: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    last: dict[str, Any] = {"amazon-bedrock-invocationMetrics": METRICS}
    vendor = model.partition(".")[0]
    match vendor:
        case "anthropic":
            message = {"id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
                       "content": [], "usage": {**ANTHROPIC_USAGE, "output_tokens": 1}}  # fmt: skip
            deltas = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
                      for piece in pieces("Hello from Claude.")]  # fmt: skip
            end = {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 34},
            }
            return [
                {"type": "message_start", "message": message},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                *deltas,
                {"type": "content_block_stop", "index": 0},
                end,
                {"type": "message_stop", **last},
            ]
        case "meta":
            found: list[dict[str, Any]] = [
                {
                    "generation": piece,
                    "prompt_token_count": 9 if n == 0 else None,
                    "generation_token_count": n + 1,
                    "stop_reason": None,
                }
                for n, piece in enumerate(pieces("Hello from Llama."))
            ]
            return [
                *found,
                {
                    "generation": "",
                    "prompt_token_count": None,
                    "generation_token_count": 6,
                    "stop_reason": "stop",
                    **last,
                },
            ]
        case "amazon" if "nova" in model:
            found = [{kind: body} for kind, body in converse_events(model, request)]
            return [*found[:-1], {**found[-1], **last}]
        case "amazon":
            found = [{"outputText": piece, "index": 0, "totalOutputTextTokenCount": None, "completionReason": None, "inputTextTokenCount": 4}
                     for piece in pieces("Hello from Titan.")]  # fmt: skip
            final: dict[str, Any] = {
                "outputText": "",
                "index": 0,
                "totalOutputTextTokenCount": 6,
                "completionReason": "FINISH",
                "inputTextTokenCount": 4,
            }
            return [*found, {**final, **last}]
        case "mistral":
            found = [
                {"outputs": [{"text": piece, "stop_reason": None}]} for piece in pieces("Hello from Mistral.")
            ]
            return [*found, {"outputs": [{"text": "", "stop_reason": "stop"}], **last}]
        case "cohere":
            found = [
                {"is_finished": False, "event_type": "text-generation", "text": piece}
                for piece in pieces("Hello from Cohere.")
            ]
            response = {
                "response_id": "resp-1",
                "generation_id": "gen-1",
                "text": "Hello from Cohere.",
                "finish_reason": "COMPLETE",
            }
            return [
                *found,
                {
                    "is_finished": True,
                    "event_type": "stream-end",
                    "finish_reason": "COMPLETE",
                    "response": response,
                    **last,
                },
            ]
        case _:
            raise AssertionError(model)
