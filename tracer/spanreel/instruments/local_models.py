"""Models that run in this process: a call of one becomes an llm, embedding or rerank span.

A hook says what its library's arguments ask and what its result tells. What one call makes of others (a chat's
completion, a ranking's prediction) is not recorded again. Token counts come from what passes by: a response's own
usage, or the tensors that a tokenizer has made; no text is tokenized for us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from spanreel import context as contexts
from spanreel import recorder as recorders
from spanreel.guard import guard
from spanreel.spans import Span


@dataclass(slots=True, kw_only=True)
class Ask:
    """What a call asks of a model."""

    system: str
    kind: str
    operation: str
    model: str | None
    given: Any = None
    """What is recorded as the input; messages go into `attributes` as well."""
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Running:
    """A call under way, and what its steps have told of it so far."""

    system: str
    span: Span
    input_tokens: int | None = None
    output_tokens: int | None = None

    def count(self, *, given: int | None = None, made: int | None = None) -> None:
        """Add tokens that a step of the call has read or made."""
        if given is not None:
            self.input_tokens = (self.input_tokens or 0) + given
        if made is not None:
            self.output_tokens = (self.output_tokens or 0) + made

    @contextmanager
    def current(self) -> Iterator[None]:
        """The span is current, and nothing of the library's below it is recorded."""
        outer = contexts.attach(self.span, otel=self.span._recorder.shows_otel())  # noqa: SLF001 - one family
        token = _running.set(self)
        try:
            yield
        finally:
            _running.reset(token)
            contexts.detach(outer)

    def finish(self, told: Mapping[str, Any], output: Any) -> None:
        """End the span with what the result tells."""
        usage = {
            "gen_ai.usage.input_tokens": self.input_tokens,
            "gen_ai.usage.output_tokens": self.output_tokens,
        }
        known = {key: value for key, value in {**usage, **told}.items() if value is not None}
        recorder = self.span._recorder  # noqa: SLF001 - one family with the span
        text = recorder.capture(output) if output is not None and recorder.full else b""
        self.span.note_cut("output", text)
        self.span.finish(status="ok", attributes=known, output_json=text)


_running: ContextVar[Running | None] = ContextVar("spanreel-local-model", default=None)
Read = Callable[[Any], tuple[Mapping[str, Any], Any]]
"""A result -> attributes and output."""


def running(system: str) -> Running | None:
    """The call of a library that is under way here."""
    found = _running.get()
    return found if found is not None and found.system == system else None


def begin(ask: Ask) -> Running | None:
    """Open the span of a call; None where it is not recorded."""
    if running(ask.system) is not None:
        return None
    recorder = recorders.active()
    if recorder is None:
        return None
    about = {
        "gen_ai.operation.name": ask.operation,
        "gen_ai.provider.name": ask.system,
        "gen_ai.request.model": ask.model or None,
        **ask.attributes,
    }
    if not recorder.full:
        about = {key: value for key, value in about.items() if key not in _CONTENT}
    name = f"{ask.operation} {ask.model}" if ask.model else ask.operation
    span = recorders.start(
        name,
        ask.kind,
        attributes={key: value for key, value in about.items() if value is not None},
        input_json=recorder.capture(ask.given) if ask.given is not None and recorder.full else b"",
    )
    return Running(ask.system, span) if span.recording else None


_CONTENT = frozenset({"gen_ai.input.messages", "gen_ai.retrieval.query.text"})


def observe(ask: Callable[[], Ask | None], call: Callable[[], Any], read: Read) -> Any:
    """Run `call` as the span that `ask` tells of, if it tells of one; `read` tells what came of it."""
    found: Running | None = None
    with guard("models.ask"):
        asked = ask()
        found = None if asked is None else begin(asked)
    if found is None:
        return call()
    with found.current():
        try:
            result = call()
        except BaseException as error:
            found.span.finish(error=error)
            raise
    told: Mapping[str, Any] = {}
    output: Any = None
    with guard("models.read"):
        told, output = read(result)
    with guard("models.finish"):
        found.finish(told, output)
    return result


def tokens(batch: Any) -> int | None:
    """How many tokens a tokenizer's batch holds, padding not counted; None where it does not say."""
    for name in ("attention_mask", "input_ids"):
        found = batch.get(name) if hasattr(batch, "get") else None
        if found is not None and hasattr(found, "shape"):
            return int(found.sum()) if name == "attention_mask" else int(found.numel())
    return None


def vectors(result: Any) -> tuple[dict[str, Any], Any]:
    """How many vectors, of how many dimensions, there are in an array, a tensor, or a list of either."""
    shape = tuple(getattr(result, "shape", ()) or ())
    count = int(shape[0]) if len(shape) > 1 else 1
    if not shape and isinstance(result, (list, tuple)):
        count = len(result)
        first = result[0] if result else None
        shape = tuple(getattr(first, "shape", ()) or ()) or ((len(first),) if isinstance(first, list) else ())
    dimension = int(shape[-1]) if shape else None
    told = {"gen_ai.embeddings.dimension.count": dimension}
    return told, [{"type": "embedding", "count": count, "dimension": dimension}]
