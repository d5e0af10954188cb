"""Traces for the viewer's tests: each state once, ordinary runs, and agent runs of any size."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import dataclass, field, replace
from typing import Any

from spanreel_exporters.duckdb.results import DocumentRow, SpanRow, WireExchange

EPOCH_NS = 1_795_400_000 * 10**9
"""A fixed day, so that pictures and tests do not depend on today."""
PIXEL = base64.b64encode(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
    + bytes(range(256)) * 2
).decode()


@dataclass
class Body:
    """What a span says beside its row."""

    input: str | None = None
    output: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    documents: list[DocumentRow] = field(default_factory=list)
    wire: list[WireExchange] = field(default_factory=list)


class Writer:
    """Builds one trace, span by span; times in milliseconds after its start."""

    def __init__(self, trace_id: str, start_ns: int) -> None:
        self.trace_id, self.start_ns = trace_id, start_ns
        self.spans: list[SpanRow] = []
        self.bodies: dict[str, Body] = {}

    def span(
        self,
        name: str,
        kind: str,
        begin: float,
        end: float | None,
        parent: str | None = None,
        *,
        body: Body | None = None,
        **columns: Any,
    ) -> str:
        """Add a span; returns its id."""
        number = len(self.spans)
        span_id = f"{number + 1:04x}{self.trace_id[:12]}"
        state = columns.pop("state", "ended" if end is not None else "running")
        row = SpanRow(**{
            **dict.fromkeys(SpanRow.__dataclass_fields__),
            "seq": number, "trace_id": self.trace_id, "span_id": span_id, "parent_id": parent, "foreign_parent": False,
            "name": name, "kind": kind, "state": state, "status": "ok",
            "start_ns": self.start_ns + round(begin * 1e6), "end_ns": None if end is None else self.start_ns + round(end * 1e6),
            "service": "support-desk", "environment": "local",
            **columns,
        })  # fmt: skip
        self.spans.append(row)
        self.bodies[span_id] = body or Body()
        return span_id


def text_message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def chat(
    question: str,
    answer: str,
    *,
    system: str = "You are a support agent. Answer only from the documents you are given.",
    call: str | None = None,
) -> Body:
    """A model call in the convention's shape; with `call` the model asks for those tools."""
    given = [text_message("system", system), text_message("user", question)]
    parts: list[dict[str, Any]] = [{"type": "text", "content": answer}] if answer else []
    arguments = {"order_id": "A-1042", "reason": "changed mind"}
    parts += [
        {"type": "tool_call", "id": f"call_{n}", "name": name, "arguments": arguments}
        for n, name in enumerate((call or "").split(), 1)
    ]
    said = [{"role": "assistant", "parts": parts, "finish_reason": "tool_call" if call else "stop"}]
    response = {
        "id": "chatcmpl-9x",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}}],
    }
    meta = {
        "protocol": "openai.chat",
        "method": "POST",
        "url": "https://api.openai.com/v1/chat/completions",
        "status": 200,
    }
    wire = WireExchange(
        0,
        meta,
        json.dumps({"model": "gpt-4.1", "messages": given, "stream": False}).encode(),
        json.dumps(response).encode(),
    )
    return Body(
        json.dumps(given), json.dumps(said),
        {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4.1", "gen_ai.request.temperature": 0.2, "server.address": "api.openai.com", "gen_ai.response.id": "chatcmpl-9x"},
        wire=[wire],
    )  # fmt: skip


def llm(
    input_tokens: int, output_tokens: int, ttft: float, model: str = "gpt-4.1", **more: Any
) -> dict[str, Any]:
    """The columns of a model call."""
    return {
        "provider": "openai", "request_model": model, "response_model": f"{model}-2025-04-14", "finish_reason": "stop",
        "input_tokens": input_tokens, "output_tokens": output_tokens, "ttft_ms": ttft, "attempts": 1,
        "cost_usd": input_tokens * 2e-6 + output_tokens * 8e-6, "cost_source": "book:2026-11", "output_tokens_per_s": 61.4, **more,
    }  # fmt: skip


DOCS = [
    DocumentRow(0, "policy.md#refunds", 12.41, "Annual plans can be refunded within 30 days of purchase. The refund is paid to the original payment method within five business days. Partial months are not refunded.", json.dumps({"source": "policy.md", "section": 2})),
    DocumentRow(1, "policy.md#resellers", 9.07, "Purchases through resellers are governed by the reseller's own terms. Send the customer to their reseller with the invoice number.", json.dumps({"source": "policy.md", "section": 5})),
    DocumentRow(2, "faq.md#cancel", 4.3, "Cancelling stops the next renewal. " * 30, None),
]  # fmt: skip


def support(trace_id: str, start_ns: int, *, question: str, answer: str, scale: float = 1.0) -> Writer:
    """A run of the support desk that went well, with a caught failure on the way."""
    w = Writer(trace_id, start_ns)
    s = scale
    root = w.span(
        "support_agent.answer",
        "agent",
        0,
        7420 * s,
        session_id="s-2041",
        body=Body(json.dumps({"question": question, "customer": "c-881"}), json.dumps(answer)),
    )
    plan = w.span(
        "plan",
        "chain",
        4 * s,
        1490 * s,
        root,
        body=Body(
            json.dumps({"question": question}), json.dumps(["retrieve", "look up the order", "answer"])
        ),
    )
    w.span(
        "chat gpt-4.1-mini",
        "llm",
        12 * s,
        1480 * s,
        plan,
        body=chat(question, "1. retrieve the refund policy\n2. look up the order\n3. answer"),
        **llm(612, 74, 402, "gpt-4.1-mini", cache_read_tokens=512),
    )
    found = w.span(
        "search_docs",
        "retrieval",
        1495 * s,
        1980 * s,
        root,
        document_count=3,
        body=Body(
            json.dumps({"query": "refund window annual plan", "top_k": 3}),
            None,
            {"spanreel.index": "handbook"},
            DOCS,
        ),
    )
    w.span(
        "text-embedding-3-small",
        "embedding",
        1500 * s,
        1640 * s,
        found,
        input_tokens=9,
        cost_usd=0.0000002,
        cost_source="book:2026-11",
        body=Body(
            json.dumps(["refund window annual plan"]),
            json.dumps([[round(0.001 * i, 4) for i in range(1536)]]),
        ),
    )
    w.span(
        "rerank",
        "rerank",
        1650 * s,
        1975 * s,
        found,
        body=Body(json.dumps({"documents": 20}), json.dumps({"kept": 3})),
    )
    step = w.span("act", "chain", 1985 * s, 4820 * s, root)
    w.span(
        "chat gpt-4.1",
        "llm",
        1990 * s,
        3560 * s,
        step,
        body=chat(question, "", call="lookup_order open_ticket"),
        **llm(1841, 38, 611, finish_reason="tool_call"),
    )
    w.span(
        "lookup_order",
        "tool",
        3565 * s,
        3984 * s,
        step,
        status="error",
        tool_name="lookup_order",
        error_type="TimeoutError",
        error_message="orders-db did not answer within 400 ms",
        body=Body(
            json.dumps({"order_id": "A-1042", "reason": "changed mind"}),
            None,
            {
                "exception.stacktrace": 'Traceback (most recent call last):\n  File "/app/desk/tools.py", line 41, in lookup_order\n    row = orders.get(order_id, timeout=0.4)\n  File "/app/desk/orders.py", line 17, in get\n    raise TimeoutError("orders-db did not answer within 400 ms")\nTimeoutError: orders-db did not answer within 400 ms\n'
            },
        ),
    )
    w.span(
        "lookup_order",
        "tool",
        4190 * s,
        4812 * s,
        step,
        tool_name="lookup_order",
        body=Body(
            json.dumps({"order_id": "A-1042", "reason": "changed mind"}),
            json.dumps(
                {
                    "order_id": "A-1042",
                    "plan": "annual",
                    "bought": "2026-11-03",
                    "paid": 288.0,
                    "channel": "direct",
                    "items": [{"sku": "PLAN-Y", "qty": 1}],
                }
            ),
        ),
    )
    w.span(
        "check_scope",
        "guardrail",
        4826 * s,
        4861 * s,
        root,
        body=Body(json.dumps({"text": question}), json.dumps(True)),
    )
    last = chat(question, answer)
    last.input = json.dumps([
        text_message("system", "You are a support agent. Answer only from the documents you are given. " * 9),
        text_message("user", "Hello, I bought the annual plan."), text_message("assistant", "Thank you. What can I do for you?"),
        text_message("user", "I have a question about money."), text_message("assistant", "Go on."),
        text_message("user", question),
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "The order is direct, so the 30 days hold. Resellers are another matter."}, {"type": "tool_call", "id": "call_1", "name": "lookup_order", "arguments": {"order_id": "A-1042", "reason": "changed mind"}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": {"plan": "annual", "bought": "2026-11-03", "paid": 288.0, "channel": "direct"}}]},
    ])  # fmt: skip
    w.span(
        "chat gpt-4.1",
        "llm",
        4868 * s,
        7370 * s,
        root,
        body=last,
        **llm(2904, 412, 547, cache_read_tokens=1792, reasoning_tokens=128, attempts=2),
    )
    w.span(
        "grade",
        "evaluator",
        7374 * s,
        7412 * s,
        root,
        body=Body(json.dumps({"answer": answer}), json.dumps({"grounded": 0.82})),
    )
    return w


def failing(trace_id: str, start_ns: int) -> Writer:
    """A run whose failure reached the root."""
    w = Writer(trace_id, start_ns)
    error = {
        "status": "error",
        "error_type": "openai.RateLimitError",
        "error_message": "Error code: 429 - Rate limit reached for gpt-4.1 in organization org-1 on tokens per min",
    }
    root = w.span(
        "support_agent.answer",
        "agent",
        0,
        2210,
        session_id="s-2042",
        **error,
        body=Body(json.dumps({"question": "Can I move my licence to another machine?"})),
    )
    w.span(
        "search_docs",
        "retrieval",
        5,
        310,
        root,
        document_count=3,
        body=Body(json.dumps({"query": "move licence"}), None, {}, DOCS),
    )
    w.span(
        "chat gpt-4.1",
        "llm",
        320,
        2200,
        root,
        provider="openai",
        request_model="gpt-4.1",
        attempts=3,
        **error,
        body=Body(json.dumps([text_message("user", "Can I move my licence to another machine?")])),
    )
    return w


def running(trace_id: str, start_ns: int) -> Writer:
    """A run that has not ended."""
    w = Writer(trace_id, start_ns)
    root = w.span("nightly_report", "chain", 0, None, body=Body(json.dumps({"day": "2026-11-24"})))
    w.span("collect", "tool", 10, 900, root)
    w.span(
        "chat llama-3.3-70b",
        "llm",
        905,
        1800,
        root,
        **llm(220, 40, 200, "llama-3.3-70b", provider="ollama", cost_usd=None, cost_source="unpriced"),
    )
    w.span("chat llama-3.3-70b", "llm", 1810, None, root, provider="ollama", request_model="llama-3.3-70b")
    return w


def broken(trace_id: str, start_ns: int) -> Writer:
    """A run whose process died, with a parent that was never recorded and one of another tracer."""
    w = Writer(trace_id, start_ns)
    root = w.span(
        "GET /ask",
        "chain",
        0,
        None,
        "f" * 16,
        state="interrupted",
        foreign_parent=True,
        body=Body(json.dumps({"path": "/ask"})),
    )
    w.span(
        "chat gpt-4.1", "llm", 40, None, root, state="interrupted", provider="openai", request_model="gpt-4.1"
    )
    w.span("orphan_step", "tool", 60, 90, "e" * 16)
    return w


def left(trace_id: str, start_ns: int) -> Writer:
    """A streaming answer whose reader left in the middle."""
    w = Writer(trace_id, start_ns)
    root = w.span(
        "POST /chat",
        "chain",
        0,
        90,
        state="abandoned",
        body=Body(json.dumps({"text": "Tell me"}), json.dumps("You")),
    )
    w.span("chat gpt-4.1", "llm", 10, 80, root, state="abandoned", provider="openai", request_model="gpt-4.1")
    return w


def retried(trace_id: str, start_ns: int) -> Writer:
    """A call outside of any trace that was refused once and then answered, with one vector."""
    w = Writer(trace_id, start_ns)
    vector = [{"role": "assistant", "parts": [{"type": "embedding", "count": 1, "dimension": 8}]}]
    w.span(
        "embeddings m",
        "embedding",
        0,
        10,
        status="error",
        error_type="429",
        duplicate_of=f"0002{trace_id[:12]}",
    )
    w.span(
        "embeddings m", "embedding", 20, 30, search_units=1, cost_source="unpriced",
        body=Body(json.dumps("Hi"), json.dumps(vector)),
    )  # fmt: skip
    return w


HOSTILE = '<script>window.__owned=1</script><img src="http://evil.example/x.png" onerror="window.__owned=1"> ![x](http://evil.example/y.png) [click](javascript:alert(1))'


def hostile(trace_id: str, start_ns: int) -> Writer:
    """Markup in every place that text can stand, and binary data."""
    w = Writer(trace_id, start_ns)
    root = w.span(
        HOSTILE,
        "chain",
        0,
        900,
        session_id=HOSTILE,
        body=Body(
            json.dumps({"question": HOSTILE}),
            json.dumps({"answer": HOSTILE, HOSTILE: [HOSTILE]}),
            {HOSTILE: HOSTILE},
        ),
    )
    seen = [
        {
            "role": "user",
            "parts": [{"type": "text", "content": HOSTILE}, {"type": "image", "data": PIXEL}],
        }
    ]
    w.span(
        "chat gpt-4.1",
        "llm",
        10,
        700,
        root,
        status="error",
        error_type="<b>Boom</b>",
        error_message=HOSTILE,
        body=Body(
            json.dumps(seen),
            json.dumps([text_message("assistant", HOSTILE)]),
            {"exception.stacktrace": HOSTILE},
        ),
        **llm(10, 10, 5),
    )
    w.span(
        "search",
        "retrieval",
        710,
        890,
        root,
        document_count=1,
        body=Body(
            json.dumps({"query": HOSTILE}),
            None,
            {},
            [DocumentRow(0, HOSTILE, 1.0, HOSTILE, json.dumps({HOSTILE: HOSTILE}))],
        ),
    )
    return w


def agent(trace_id: str, start_ns: int, count: int) -> Writer:
    """A long sequential agent run of exactly `count` spans."""
    rng = random.Random(count)
    w = Writer(trace_id, start_ns)
    clock = 0.0
    root = w.span(
        "support_agent.run",
        "agent",
        0,
        1,
        body=Body(json.dumps({"question": "Work through the backlog."}), json.dumps("The backlog is empty.")),
    )
    turn = 0
    while len(w.spans) < count:
        turn += 1
        begin = clock
        head = w.span(f"turn {turn}", "agent", begin, begin + 1, root)
        for step in range(1, 6):
            if len(w.spans) >= count:
                break
            at = clock
            chain = w.span(f"step {step}", "chain", at, at + 1, head)
            for kind, name, least, most in (
                ("llm", "chat gpt-4.1", 400, 3000),
                ("retrieval", "vector_search", 60, 600),
                ("tool", "http_get", 40, 500),
                ("tool", "sql_query", 20, 700),
            ):
                if len(w.spans) >= count:
                    break
                long = rng.uniform(least, most)
                more: dict[str, Any] = (
                    llm(rng.randrange(300, 5000), rng.randrange(20, 900), long * rng.uniform(0.15, 0.5))
                    if kind == "llm"
                    else {}
                )
                if rng.random() < 0.023:
                    more |= {
                        "status": "error",
                        "error_type": "HTTPError",
                        "error_message": "503 from upstream",
                    }
                w.span(
                    name,
                    kind,
                    clock,
                    clock + long,
                    chain,
                    body=chat("Which ticket is next?", f"Ticket {len(w.spans)}.")
                    if kind == "llm"
                    else Body(json.dumps({"n": len(w.spans)}), json.dumps("done")),
                    **more,
                )
                clock += long + 2
            _end(w, chain, clock)
        _end(w, head, clock)
    _end(w, root, clock)
    return w


def _end(w: Writer, span_id: str, end_ms: float) -> None:
    at = int(span_id[:4], 16) - 1 if len(w.spans) < 0xFFFF else 0
    w.spans[at] = replace(w.spans[at], end_ns=w.start_ns + round(end_ms * 1e6))


QUESTIONS = [
    ("What is the refund window for annual plans, and does it apply to resellers?", "Annual plans can be refunded within 30 days of purchase. Resellers are governed by their own terms; please send the customer to the reseller with the invoice number."),
    ("How do I rotate an API key without downtime?", "Create a second key, move your clients to it, then revoke the first. Both are valid until you revoke one."),
    ("Which regions store EU customer data?", "Frankfurt and Dublin. Backups stay within the EU."),
    ("Why was I charged twice in October?", "The second charge is a pre-authorisation that your bank releases within five days."),
]  # fmt: skip
