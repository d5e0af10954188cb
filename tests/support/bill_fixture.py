"""A store with calls of several models, users, days and fates, for tests of the bill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from journal_fixture import MS, Writer, ids

DAY = 86_400_000_000_000
START = 1_795_219_200_000_000_000
"""2026-11-21 00:00 UTC."""


class Program:
    """Writes traces of calls, numbering spans by itself."""

    def __init__(self, store: Path) -> None:
        store.mkdir(parents=True, exist_ok=True)
        self.writer = Writer(store, service="desk", environment="prod", release="2")
        self.span = 0x1000

    def trace(self, number: int, name: str, at: int = START, **attributes: Any) -> tuple[str, str]:
        """Open a root; `attributes` by their full names."""
        trace, span = ids(number)
        self.writer.start(trace, span, name=name, at=at, attributes=attributes)
        return trace, span

    def end(self, trace: str, span: str, at: int = START + 900 * MS, **options: Any) -> None:
        self.writer.end(trace, span, at=at, **options)

    def inner(
        self,
        trace: str,
        parent: str,
        kind: str,
        name: str,
        at: int = START,
        attributes: dict[str, Any] | None = None,
    ) -> str:
        """A step of a program that has ended."""
        self.span += 1
        span = ids(self.span)[1]
        self.writer.start(trace, span, parent, kind=kind, name=name, at=at + MS, attributes=attributes)
        self.writer.end(trace, span, at=at + 800 * MS)
        return span

    def call(
        self, trace: str, parent: str, model: str, given: int | None = None, made: int | None = None, *,
        at: int = START, ms: int = 100, asked: object = None, kind: str = "llm", provider: str | None = "openai",
        attributes: dict[str, Any] | None = None, **options: Any,
    ) -> str:  # fmt: skip
        """One call of a model with its usage."""
        self.span += 1
        span = ids(self.span)[1]
        self.writer.start(
            trace, span, parent, kind=kind, name=f"chat {model}", at=at + 2 * MS, given=asked,
            attributes={"gen_ai.request.model": model, **({"gen_ai.provider.name": provider} if provider else {})},
        )  # fmt: skip
        usage = {"gen_ai.usage.input_tokens": given, "gen_ai.usage.output_tokens": made}
        told = {key: value for key, value in usage.items() if value is not None}
        self.writer.end(
            trace, span, at=at + (2 + ms) * MS, attributes={**told, **(attributes or {})}, **options
        )
        return span


def fill(store: Path) -> None:
    """Three days of a desk: see the tests for what it adds up to."""
    program = Program(store)
    ann: dict[str, Any] = {"session.id": "s1", "user.id": "ann", "spanreel.tags": ["vip", "chat"]}
    trace, root = program.trace(1, "ask", **ann)
    program.call(
        trace, root, "gpt-4o", 2_000, 300, first=START + 42 * MS,
        attributes={"gen_ai.usage.cache_read.input_tokens": 1_024, "spanreel.first_visible_ns": START + 62 * MS},
    )  # fmt: skip
    tool = program.inner(trace, root, "tool", "lookup", attributes={"gen_ai.tool.name": "lookup"})
    step = program.inner(
        trace,
        tool,
        "chain",
        "summarise",
        attributes={"gen_ai.prompt.name": "sum", "gen_ai.prompt.version": "3"},
    )
    program.call(trace, step, "gpt-4o-mini", 1_000, 100)
    program.end(trace, root)

    at = START + DAY
    trace, root = program.trace(2, "ask", at, **{"session.id": "s2", "user.id": "bob"})
    program.call(trace, root, "o3", 500, 700, at=at, attributes={"gen_ai.usage.reasoning.output_tokens": 600})
    program.call(trace, root, "house-model", 50, 5, at=at, provider="vllm")
    program.call(
        trace, root, "gpt-4o", at=at, status="error", error={"type": "RateLimitError", "message": "429"}
    )
    program.end(trace, root, at + 900 * MS)

    at = START + 2 * DAY
    trace, root = program.trace(3, "batch", at)
    program.call(trace, root, "text-embedding-3-small", 9_000, at=at, kind="embedding")
    failed = program.call(
        trace,
        root,
        "gpt-4o",
        at=at,
        ms=30,
        status="error",
        error={"type": "APIStatusError", "message": "529"},
    )
    program.call(
        trace,
        root,
        "gpt-4o",
        100,
        10,
        at=at + 280 * MS,
        attributes={"spanreel.retry_of": failed, "spanreel.retry_count": 1},
    )
    program.call(trace, root, "gpt-4o", 70, 7, at=at + 400 * MS, attributes={"spanreel.state": "abandoned"})
    program.call(
        trace, root, "some/model", 10, 10, at=at, provider="openrouter", attributes={"spanreel.cost_usd": 0.0125}
    )  # fmt: skip
    program.end(trace, root, at + 900 * MS)
    program.writer.die()
