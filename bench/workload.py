"""Traces as an application leaves them: an agent, its retrieval, tools and LLM calls, in natural text.

Written through the real recorder (and, for LLM calls seen on the wire, through the real wire hook's
recording), as fast as it goes. A trace has ten spans: the root, one retrieval, two tools, one chain, five
LLM calls with model, tokens and messages. Two traces in a hundred end in an error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import orjson

import spanreel
from bench import child
from bench.corpus import Text
from spanreel import clock
from spanreel.wire import recording

SPANS = 10
LLM_CALLS = 5
MODELS = ("gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash")
PROVIDERS = {"gpt-4o-mini": "openai", "gpt-4o": "openai", "claude-sonnet-4-5": "anthropic", "gemini-2.5-flash": "gcp.gemini"}  # fmt: skip
PER_TOKEN = 4
"""Characters of a token, about."""
_ADDRESS = recording.Address("https", "api.openai.com", None, "/v1/chat/completions")
_HEADERS = {"content-type": "application/json", "x-request-id": "req_"}


class Application:
    """Makes traces whose spans have `body` characters of input and output together."""

    def __init__(self, text: Text, body: int, *, wire: bool = False, only_llm: bool = False) -> None:
        self._text = text
        self._given = body * 6 // 10
        self._answered = body - self._given
        self._number = 0
        self._llm: Callable[[int], None] = self._on_the_wire if wire else self._told
        self._only_llm = only_llm
        self.trace = spanreel.trace.agent(self._trace)
        self._plain = {
            kind: getattr(spanreel.trace, kind)(self._function(kind))
            for kind in ("retrieval", "tool", "chain")
        }

    def _function(self, kind: str) -> Callable[[str], object]:
        text, size = self._text, self._answered

        def call(query: str) -> object:
            del query
            if kind == "retrieval":
                return [
                    {"id": f"doc-{i}", "score": 0.9 - i / 10, "content": text.take(size // 2)} for i in (0, 1)
                ]
            return text.take(size)

        call.__name__ = call.__qualname__ = {"retrieval": "search", "tool": "look_up", "chain": "draft"}[kind]
        return call

    def _trace(self, question: str) -> str:
        del question
        self._number += 1
        number = self._number
        others = ("retrieval", "tool", "tool", "chain")
        for i in range(SPANS - 1):
            if self._only_llm or i < LLM_CALLS:
                self._llm(number + i)
            else:
                self._plain[others[i - LLM_CALLS]](self._text.take(self._given))
        if number % 50 == 0:
            raise ValueError(self._text.take(80))
        return self._text.take(self._answered)

    def _told(self, number: int) -> None:
        """Record a call through the API, as in-process models are."""
        model = MODELS[number % len(MODELS)]
        messages = [{"role": "user", "content": self._text.take(self._given)}]
        with spanreel.span(f"chat {model}", kind="llm", input=messages) as span:
            span.set_model(model, provider=PROVIDERS[model])
            span.set_usage(
                input_tokens=self._given // PER_TOKEN + number % 7,
                output_tokens=self._answered // PER_TOKEN + number % 11,
            )
            span.set_output([{"role": "assistant", "content": self._text.take(self._answered)}])

    def _on_the_wire(self, number: int) -> None:
        """Record a call as the wire hook sees it: request and response bytes of a chat completion."""
        model = MODELS[number % 2]
        given, answered = self._text.take(self._given), self._text.take(self._answered)
        request = {"messages": [{"role": "user", "content": given}], "model": model, "temperature": 0.2}
        body = orjson.dumps(request)
        seen = recording.begin(method="POST", address=_ADDRESS, headers=_HEADERS, body=body)
        if seen is None:
            raise child.ChildError("the wire hook does not know a chat completion")
        seen.answered(200, {**_HEADERS, "x-request-id": f"req_{number:024x}"}, None)
        seen.log.note(orjson.dumps(self._completion(number, model, answered)), clock.tick())
        seen.finish("exhausted")

    def _completion(self, number: int, model: str, answered: str) -> dict[str, Any]:
        given_tokens, tokens = self._given // PER_TOKEN, self._answered // PER_TOKEN
        return {
            "id": f"chatcmpl-{number:029x}", "object": "chat.completion", "created": 1_764_000_000 + number,
            "model": f"{model}-2024-07-18", "service_tier": "default", "system_fingerprint": "fp_51e1070cf2",
            "choices": [{
                "index": 0, "logprobs": None, "finish_reason": "stop",
                "message": {"role": "assistant", "content": answered, "refusal": None, "annotations": []},
            }],
            "usage": {
                "prompt_tokens": given_tokens, "completion_tokens": tokens, "total_tokens": given_tokens + tokens,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
            },
        }  # fmt: skip

    def run(self, traces: int, phrase: str = "", every: int = 0) -> None:
        """Record traces; the question of each `every`th one holds `phrase`."""
        for number in range(traces):
            question = self._text.take(self._given)
            if every and number % every == 0:
                question = f"{question[: len(question) // 2]} {phrase} {question[len(question) // 2 :]}"
            try:
                self.trace(question)
            except ValueError:
                continue


def main(store: str, corpus: str, body: str, traces: str, shape: str, phrase: str, every: str) -> None:
    """Record into a store; `shape` is api, wire (LLM calls on the wire) or wire-only (every child is one)."""
    spanreel.configure(store=store, keeper="off", service_name="bench")
    wire = shape != "api"
    application = Application(Text(corpus, seed=7), int(body), wire=wire, only_llm=shape == "wire-only")
    with spanreel.session("bench-session", user="somebody"):
        application.run(int(traces), phrase, int(every))
    child.answer({"spans": int(traces) * SPANS})


def record(
    store: object,
    corpus: object,
    *,
    body: int,
    spans: int,
    shape: str = "api",
    phrase: str = "",
    every: int = 0,
) -> int:
    """Record about `spans` spans in a process of its own; return how many."""
    found = child.run("workload", store, corpus, body, spans // SPANS, shape, phrase, every)
    return int(found["spans"])


if __name__ == "__main__":
    main(*sys.argv[1:])
