"""A loopback server that speaks the OpenAI API's wire format, with failures on demand.

What it does is chosen by the model's name: `gpt-4o-mini` answers, `limited` is refused once with 429, `cut`
breaks off, `slow` takes its time, and so on; see `_Handler`. `bodies` keeps the exact bytes of every response.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import brotli  # type: ignore[import-untyped]
import zstandard

USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 40,
    "total_tokens": 1240,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 16, "audio_tokens": 0},
}
RESPONSES_USAGE = {
    "input_tokens": 900,
    "input_tokens_details": {"cached_tokens": 512, "cache_write_tokens": 0},
    "output_tokens": 60,
    "output_tokens_details": {"reasoning_tokens": 24},
    "total_tokens": 960,
}
ERRORS = {
    "unauthorised": (401, "invalid_api_key", "Incorrect API key provided."),
    "refused": (400, "invalid_request_error", "That is no request."),
    "broken": (500, "server_error", "The server had an error."),
    "always-limited": (429, "rate_limit_exceeded", "Rate limit reached."),
}


Compressor = Callable[[bytes | None], bytes]
"""Bytes -> what they are sent as, so that the client can read them at once; None: the end."""


def _zlib(wbits: int) -> Compressor:
    made = zlib.compressobj(wbits=wbits)
    return lambda data: made.flush() if data is None else made.compress(data) + made.flush(zlib.Z_SYNC_FLUSH)


def _brotli() -> Compressor:
    made = brotli.Compressor()
    return lambda data: made.finish() if data is None else made.process(data) + made.flush()


def _zstd() -> Compressor:
    made = zstandard.ZstdCompressor().compressobj()
    block, end = zstandard.COMPRESSOBJ_FLUSH_BLOCK, zstandard.COMPRESSOBJ_FLUSH_FINISH
    return lambda data: made.flush(end) if data is None else made.compress(data) + made.flush(block)


ENCODINGS: dict[str, Callable[[], Compressor]] = {
    "gzip": lambda: _zlib(31),
    "deflate": lambda: _zlib(15),
    "br": _brotli,
    "zstd": _zstd,
}


class OpenAIServer:
    """Runs in a thread of its own until `close()`; `url` is the base URL for the client."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.requests: list[dict[str, Any]] = []
        self.refusals: dict[str, int] = {}
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.owner = self
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # connections are made many at once
    owner: OpenAIServer

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

    def do_GET(self) -> None:
        self._send(200, b'{"object":"list","data":[]}')

    def do_POST(self) -> None:
        if self.path.startswith("/v1/moved/"):
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self._send(307, b"", {"location": self.path.replace("/moved/", "/")})
            return
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            request = json.loads(raw)
        except ValueError:
            self._send(200, b'{"ok":true}')
            return
        self.server.owner.requests.append({"path": self.path, "headers": dict(self.headers), "body": request})
        model = request.get("model", "")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if not self._refused(model):
                self._answer(model, request)

    def _refused(self, model: str) -> bool:
        if model == "hang":
            time.sleep(0.6)
            return False
        if model == "limited" and self.server.owner.refusals.setdefault(model, 0) < 1:
            self.server.owner.refusals[model] += 1
            self._error(429, "rate_limit_exceeded", "Rate limit reached.", {"retry-after-ms": "5"})
            return True
        if model in ERRORS:
            self._error(*ERRORS[model])
            return True
        return False

    def _error(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        body = {"error": {"message": message, "type": code, "param": None, "code": code}}
        self._send(status, json.dumps(body).encode(), headers)

    def _answer(self, model: str, request: dict[str, Any]) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("/chat/completions"):
            if request.get("stream"):
                self._stream(model, chat_events(request))
            else:
                encoding = model if model in ENCODINGS else ""
                self._send(200, json.dumps(chat_body(request)).encode(), encoding=encoding)
        elif path.endswith("/responses"):
            if request.get("stream"):
                self._stream(model, response_events(request), named=True)
            else:
                self._send(200, json.dumps(response_body(request)).encode())
        elif path.endswith("/embeddings") and "input" in request:
            self._send(200, json.dumps(embeddings(request)).encode())
        elif path.endswith("/completions"):
            self._send(200, json.dumps(completion(request)).encode())
        else:
            self._send(200, b'{"ok":true}')

    def _send(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, *, encoding: str = ""
    ) -> None:
        self.server.owner.bodies.append(body)
        if encoding:
            compressor = ENCODINGS[encoding]()
            body = compressor(body) + compressor(None)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("x-request-id", "req_123")
        self.send_header("set-cookie", "session=planted-cookie")
        if encoding:
            self.send_header("content-encoding", encoding)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, model: str, events: list[dict[str, Any]], *, named: bool = False) -> None:
        blocks = [
            (f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n"
            for event in events
        ]
        if not named and model != "short":
            blocks.append("data: [DONE]\n\n")
        if model in {"cut", "short"}:
            blocks = blocks[: len(blocks) // 2]
        if model == "error-in-stream":
            blocks[3:] = [
                'data: {"error": {"message": "overloaded", "type": "server_error", "code": "overloaded"}}\n\n'
            ]
        self.server.owner.bodies.append("".join(blocks).encode())
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("x-request-id", "req_stream")
        self.send_header("transfer-encoding", "chunked")
        compressor = ENCODINGS[model]() if model in ENCODINGS else None
        if compressor is not None:
            self.send_header("content-encoding", model)
        self.end_headers()
        for block in blocks:
            data = block.encode()
            if compressor is not None:
                data = compressor(data)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            if model == "slow":
                time.sleep(0.02)
        if model == "cut":
            # Reset the connection, so that the client cannot take it for the end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if compressor is not None:
            data = compressor(None)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if data else b"")
        self.wfile.write(b"0\r\n\r\n")


def _last_text(request: dict[str, Any]) -> str:
    for message in reversed(request.get("messages", [])):
        if message.get("role") == "user":
            content = message.get("content")
            return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)
    return ""


def _message(request: dict[str, Any], index: int) -> dict[str, Any]:
    """What the model says: tool calls first if tools are on offer, then an answer; JSON if that was asked for."""
    last = request["messages"][-1]
    if request.get("tools") and last["role"] == "user":
        calls = [
            {
                "id": f"call_{n}",
                "type": "function",
                "function": {"name": "lookup", "arguments": json.dumps({"key": key})},
            }
            for n, key in enumerate(("alpha", "beta"))
        ]
        return {"role": "assistant", "content": None, "tool_calls": calls}
    if request.get("response_format", {}).get("type") == "json_schema":
        return {"role": "assistant", "content": json.dumps({"city": "Paris", "people": 2})}
    if last["role"] == "tool":
        return {"role": "assistant", "content": f"The tool said {last['content']}."}
    return {
        "role": "assistant",
        "content": f"You said: {_last_text(request)}" + (f" ({index})" if index else ""),
    }


def chat_body(request: dict[str, Any]) -> dict[str, Any]:
    choices = []
    for index in range(request.get("n") or 1):
        message = _message(request, index)
        reason = "tool_calls" if message.get("tool_calls") else "stop"
        choices.append(
            {
                "index": index,
                "message": {**message, "refusal": None},
                "logprobs": None,
                "finish_reason": reason,
            }
        )
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18",
        "choices": choices, "usage": USAGE, "service_tier": "default", "system_fingerprint": "fp_1",
    }  # fmt: skip


def chat_events(request: dict[str, Any]) -> list[dict[str, Any]]:
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
    }
    usage = bool((request.get("stream_options") or {}).get("include_usage"))
    extra = {"usage": None} if usage else {}
    events: list[dict[str, Any]] = []

    def add(index: int, delta: dict[str, Any], reason: str | None = None) -> None:
        events.append(
            {**head, "choices": [{"index": index, "delta": delta, "finish_reason": reason}], **extra}
        )

    for index in range(request.get("n") or 1):
        message = _message(request, index)
        add(index, {"role": "assistant", "content": ""})
        for piece in _pieces(message.get("content") or ""):
            add(index, {"content": piece})
        for n, call in enumerate(message.get("tool_calls") or []):
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            add(
                index,
                {
                    "tool_calls": [
                        {
                            "index": n,
                            "id": call["id"],
                            "type": "function",
                            "function": {"name": name, "arguments": ""},
                        }
                    ]
                },
            )
            for piece in _pieces(arguments):
                add(index, {"tool_calls": [{"index": n, "function": {"arguments": piece}}]})
        add(index, {}, "tool_calls" if message.get("tool_calls") else "stop")
    if usage:
        events.append({**head, "choices": [], "usage": USAGE})
    return events


def _pieces(text: str) -> list[str]:
    return [text[start : start + 4] for start in range(0, len(text), 4)]


def response_body(request: dict[str, Any]) -> dict[str, Any]:
    output: list[dict[str, Any]] = [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Thinking it over."}],
        }
    ]
    if request.get("tools"):
        output.append(
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "call_1",
                "name": "lookup",
                "arguments": '{"key":"alpha"}',
                "status": "completed",
            }
        )
    else:
        text = "Hello from the Responses API."
        output.append(
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": text, "annotations": []}],
            }
        )
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5-mini-2025", "status": "completed", "output": output,
        "usage": RESPONSES_USAGE, "error": None, "incomplete_details": None, "instructions": request.get("instructions"),
        "metadata": {}, "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "service_tier": "default",
    }  # fmt: skip


def response_events(request: dict[str, Any]) -> list[dict[str, Any]]:
    body = response_body(request)
    pending = {**body, "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": pending}]
    for index, item in enumerate(body["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "message":
            opening = {**item, "status": "in_progress", "content": []}
            events.append({"type": "response.output_item.added", "output_index": index, "item": opening})
            part = item["content"][0]
            events.append(
                {
                    "type": "response.content_part.added",
                    **at,
                    "content_index": 0,
                    "part": {**part, "text": ""},
                }
            )
            events.extend(
                {
                    "type": "response.output_text.delta",
                    **at,
                    "content_index": 0,
                    "delta": piece,
                    "logprobs": [],
                }
                for piece in _pieces(part["text"])
            )
            events.append(
                {
                    "type": "response.output_text.done",
                    **at,
                    "content_index": 0,
                    "text": part["text"],
                    "logprobs": [],
                }
            )
            events.append({"type": "response.content_part.done", **at, "content_index": 0, "part": part})
        elif item["type"] == "function_call":
            events.append(
                {
                    "type": "response.output_item.added",
                    "output_index": index,
                    "item": {**item, "arguments": ""},
                }
            )
            events.extend(
                {"type": "response.function_call_arguments.delta", **at, "delta": piece}
                for piece in _pieces(item["arguments"])
            )
        else:
            events.append(
                {"type": "response.output_item.added", "output_index": index, "item": {**item, "summary": []}}
            )
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": "response.completed", "response": body})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def embeddings(request: dict[str, Any]) -> dict[str, Any]:
    texts = request["input"] if isinstance(request["input"], list) else [request["input"]]
    vector = [0.25, -0.5, 1.0, 0.125, 2.0, -1.0, 0.5, 0.75]
    value: Any = vector
    if request.get("encoding_format") == "base64":
        value = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    data = [{"object": "embedding", "index": n, "embedding": value} for n in range(len(texts))]
    return {
        "object": "list",
        "data": data,
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


def completion(request: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "text": " world", "finish_reason": "length", "logprobs": None}
    usage = {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "gpt-3.5-turbo-instruct",
        "choices": [choice],
        "usage": usage,
    }
