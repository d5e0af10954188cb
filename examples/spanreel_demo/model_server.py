"""A stand-in for the OpenAI API on the loopback interface: `python -m spanreel_demo.model_server`.

It speaks chat completions (plain and streamed, tools, structured output, usage) and embeddings, keeps the limits and
error shapes of the real thing, and can be told to fail. What it says comes from `responder.py`.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

from spanreel_demo import embedding, replies
from spanreel_demo.replies import ApiError
from spanreel_demo.responder import respond
from spanreel_demo.tokens import PromptCache, prompt_pieces

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

FIRST_TOKEN, PER_PROMPT_TOKEN, PER_TOKEN = 0.16, 0.00004, 0.007
"""Seconds until the first token, more for each token of the prompt, and between tokens (a small hosted model)."""
HANG = 30.0
"""Seconds after which a hanging answer gives up, if the client has not."""


class Fault(Enum):
    """What can go wrong with a streamed answer."""

    RATE_LIMIT = "429 with retry-after"
    OUTAGE = "500"
    SILENCE = "no answer at all"
    STANDSTILL = "half an answer, then silence"


class ModelServer:
    """The server, in a thread of its own; a context manager.

    `pace` scales all waiting: 1.0 is the speed of a small hosted model, 0 does not wait at all.
    """

    def __init__(self, *, pace: float = 1.0, port: int = 0) -> None:
        self.pace = pace
        self.closing = threading.Event()
        self.prompts = PromptCache()
        self._faults: deque[Fault] = deque()
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.model = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def base_url(self) -> str:
        """What to give the client as `base_url` (or OPENAI_BASE_URL)."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def fail_next(self, fault: Fault, times: int = 1) -> None:
        """Let the next `times` streamed chat completions fail."""
        with self._lock:
            self._faults.extend([fault] * times)

    def next_fault(self) -> Fault | None:
        """Take the fault that is due for a streamed answer."""
        with self._lock:
            return self._faults.popleft() if self._faults else None

    def cached_tokens(self, model: str, pieces: Sequence[str]) -> int:
        """Return how much of this prompt was seen before."""
        with self._lock:
            return self.prompts.cached(model, pieces)

    def wait(self, seconds: float) -> None:
        """Wait as long as a real model would, times `pace`."""
        if self.pace > 0:
            self.closing.wait(seconds * self.pace)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    model: ModelServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are part of the demo."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def model(self) -> ModelServer:
        """What the server's owner set: pace, faults, the cache of prompts."""
        return cast("_Http", self.server).model

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keep quiet."""

    def do_GET(self) -> None:
        """List the models."""
        models = [{"id": name, "object": "model", "owned_by": "spanreel-demo"} for name in replies.MODELS]
        self._send(200, {"object": "list", "data": models})

    def do_POST(self) -> None:
        """Answer a chat completion or an embedding request."""
        self._began = time.monotonic()
        try:
            request = self._read()
            if self.path == "/v1/chat/completions":
                self._chat(request)
            elif self.path == "/v1/embeddings":
                self._embed(request)
            else:
                raise ApiError(404, f"Invalid URL (POST {self.path})", "invalid_request_error")
        except ApiError as error:
            self._send(error.status, error.body(), error.headers)

    def _read(self) -> dict[str, Any]:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self.headers.get("authorization", "").startswith("Bearer "):
            raise ApiError(401, "You didn't provide an API key.", "invalid_request_error")
        try:
            request = json.loads(body)
        except ValueError:
            request = None
        if not isinstance(request, dict) or "model" not in request:
            raise ApiError(400, "We could not parse the JSON body of your request.", "invalid_request_error")
        return request

    def _chat(self, request: dict[str, Any]) -> None:
        model = self.model
        pieces = prompt_pieces(request)
        replies.check(request, len(pieces))
        fault = model.next_fault() if request.get("stream") else None
        if fault is Fault.RATE_LIMIT:
            raise replies.rate_limit(str(request["model"]), wait_ms=max(1, round(700 * model.pace)))
        if fault is Fault.OUTAGE:
            raise replies.outage(wait_ms=max(1, round(150 * model.pace)))
        if fault is Fault.SILENCE:
            model.closing.wait(HANG)
            return
        completion = replies.Completion(
            request, respond(request), len(pieces), model.cached_tokens(str(request["model"]), pieces)
        )
        thinking = completion.reply.reasoning_tokens * PER_TOKEN / 4
        model.wait(FIRST_TOKEN + PER_PROMPT_TOKEN * len(pieces) + thinking)
        if request.get("stream"):
            self._stream(completion.chunks(), stop_half_way=fault is Fault.STANDSTILL)
        else:
            model.wait(PER_TOKEN * completion.spoken_tokens)
            self._send(200, completion.whole())

    def _embed(self, request: dict[str, Any]) -> None:
        self.model.wait(0.03)
        self._send(200, embedding.response(request))

    def _send(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        payload = json.dumps(body, ensure_ascii=False).encode("utf-8")
        self._head(
            status,
            {"content-type": "application/json", "content-length": str(len(payload)), **(headers or {})},
        )
        self.wfile.write(payload)

    def _stream(self, chunks: Sequence[Mapping[str, Any]], *, stop_half_way: bool) -> None:
        self._head(200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"})
        for at, chunk in enumerate(chunks):
            if stop_half_way and at == len(chunks) // 2:
                self.model.closing.wait(HANG)
                self.close_connection = True
                return
            self._event(json.dumps(chunk, ensure_ascii=False))
            # No two gaps between tokens are the same length, yet every run is.
            self.model.wait(PER_TOKEN * (0.5 + (at * 7919 % 13) / 8))
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: str) -> None:
        payload = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(payload), payload))

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("x-request-id", f"req_{time.time_ns():032x}")
        self.send_header("openai-processing-ms", str(round((time.monotonic() - self._began) * 1000)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    _began = 0.0


def main() -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A stand-in for the OpenAI API, for trying things out.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--pace", type=float, default=1.0, help="scales all waiting; 0 does not wait")
    options = parser.parse_args()
    with ModelServer(pace=options.pace, port=options.port) as server:
        print(f"OPENAI_API_KEY=none OPENAI_BASE_URL={server.base_url}")
        try:
            server.closing.wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
