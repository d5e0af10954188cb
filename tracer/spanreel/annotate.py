"""What a program says about its spans: sessions, attributes, prompts, spans of its own, scores.

Everything here works outside of a trace too, where it does nothing but run the user's code.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast, overload

import orjson

from spanreel import clock, streams
from spanreel import context as contexts
from spanreel import recorder as recorders
from spanreel.guard import guard
from spanreel.kinds import resolve_kind
from spanreel.spans import NOOP, Span

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.context.context import Context

F = TypeVar("F", bound=Callable[..., Any])
Source = Literal["code", "human", "judge"]
SOURCES = ("code", "human", "judge")
PROMPTS_KEPT = 8


class Scope:
    """Attributes that reach every span below; a context manager (sync and async) and a decorator."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._attributes = attributes
        self._tokens: list[Token[Context]] = []

    def __enter__(self) -> Self:
        with guard("scope.enter"):
            token = self._attach()
            if token is not None:
                self._tokens.append(token)
        return self

    def _attach(self) -> Token[Context] | None:
        recorder = recorders.active()
        if recorder is None:
            return None
        above = contexts.current().get(contexts.INHERITED_KEY)
        merged = {**(above.attributes if above else {}), **self._attributes}
        text = recorder.capture_attributes(merged)
        return contexts.attach_inherited(contexts.Inherited(merged, text))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._tokens:
            contexts.detach(self._tokens.pop())

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: F) -> F:
        """Decorate: each call of `function` runs inside a scope of its own."""
        attributes = self._attributes
        result: Any
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaiting(*args: Any, **kwargs: Any) -> Any:
                with Scope(attributes):
                    return await function(*args, **kwargs)

            result = awaiting
        elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            driver: Any = streams.drive if inspect.isgeneratorfunction(function) else streams.drive_async

            @functools.wraps(function)
            def yielding(*args: Any, **kwargs: Any) -> Any:
                return driver(lambda: _Inheriting(Scope(attributes)), function(*args, **kwargs))

            result = yielding
        else:

            @functools.wraps(function)
            def calling(*args: Any, **kwargs: Any) -> Any:
                with Scope(attributes):
                    return function(*args, **kwargs)

            result = calling
        return cast("F", result)


class _Inheriting(streams.Silent):
    """Drives a generator under a scope's attributes, step by step, without a span."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def enter(self) -> Any:
        """Attach the attributes for one step."""
        token = None
        with guard("scope.step"):
            token = self._scope._attach()
        return token if token is not None else super().enter()


def session(
    session_id: str,
    /,
    *,
    user: str | None = None,
    tags: Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Scope:
    """Every span below belongs to this session (and user, tags, metadata)."""
    found: dict[str, Any] = {"session.id": str(session_id)}
    if user is not None:
        found["user.id"] = str(user)
    listed = [tags] if isinstance(tags, str) else list(tags)
    if listed:
        found["spanreel.tags"] = listed
    if metadata:
        found["spanreel.metadata"] = dict(metadata)
    return Scope(found)


def attributes(**values: Any) -> Scope:
    """Every span below carries these attributes."""
    return Scope(values)


class SpanScope:
    """`with spanreel.span("name") as span:`, `async with`, or `@spanreel.span("name")`."""

    def __init__(self, name: str, *, kind: str = "span", **options: Any) -> None:
        self._name = name
        self._kind = resolve_kind(kind)
        self._given = "input" in options
        self._input = options.pop("input", None)
        self._attributes = options.pop("attributes", None)
        if options:
            raise TypeError(
                f"span() has no option {next(iter(options))!r} (options: kind, input, attributes)"
            )
        self._span: Span = NOOP
        self._mark: Token[Context] | None = None

    def __enter__(self) -> Span:
        self._span = NOOP
        with guard("span.enter"):
            recorder = recorders.active()
            if recorder is not None:
                text = recorder.capture(self._input) if self._given and recorder.full else b""
                self._span = recorders.start(
                    self._name, self._kind, attributes=self._attributes, input_json=text
                )
                self._span.__enter__()
                here = contexts.current()
                if not self._span.recording and contexts.SPAN_KEY not in here:
                    self._mark = contexts.variable.set(contexts.unrecorded(here, NOOP))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        mark, self._mark = self._mark, None
        if mark is not None:
            contexts.detach(mark)
        self._span.__exit__(kind, error, traceback)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: F) -> F:
        """Decorate: the same as `@spanreel.trace(kind=..., name=...)`."""
        from spanreel.decorator import Trace

        decorate = Trace()(kind=self._kind, name=self._name, attributes=self._attributes)
        return decorate(function)


def span(name: str, *, kind: str = "span", **options: Any) -> SpanScope:
    """A span around a block; options: `input` (any value), `attributes`.

    Raises TypeError for an unknown kind or option.
    """
    return SpanScope(name, kind=kind, **options)


def current_span() -> Span:
    """The span that is current here; a span that does nothing where there is none."""
    found = contexts.current().get(contexts.SPAN_KEY)
    return found if isinstance(found, Span) else NOOP


def current_trace_id() -> str:
    """The trace id of the current span, 32 hex digits (zeros outside of a trace)."""
    return current_span().trace_id


_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}|\{(\w+)\}")


@overload
def prompt(name: str, template: str, /, version: str | None = None, **variables: Any) -> str: ...


@overload
def prompt(*, name: str, template: str, version: str | None = None, **variables: Any) -> str: ...


def prompt(*parts: Any, version: str | None = None, **variables: Any) -> str:
    """Render a prompt template and mark the calls whose request contains the result.

    `prompt(name, template, version=None, **variables)`: given by position, `name` and `template` leave
    these words free for variables. `{name}` and `{{ name }}` are replaced where `name` is among `variables`; every other brace stays as it
    is, so that templates may hold JSON. `version` defaults to the first 12 hex digits of the template's
    SHA-256. Raises TypeError without a name and a template.
    """
    name, template, version = _prompt_parts(parts, version, variables)

    def fill(match: re.Match[str]) -> str:
        found = match[1] or match[2]
        return str(variables[found]) if found in variables else match[0]

    text = _PLACEHOLDER.sub(fill, template)
    with guard("prompt"):
        used = {
            "gen_ai.prompt.name": name,
            "gen_ai.prompt.version": version or hashlib.sha256(template.encode()).hexdigest()[:12],
            "spanreel.prompt.template": template,
            "spanreel.prompt.variables": variables,
        }
        here = contexts.current()
        before: tuple[Any, ...] = here.get(contexts.PROMPTS_KEY, ())
        kept = (*before, (_as_json(text), used))[-PROMPTS_KEPT:]
        contexts.attach_prompts(kept)
    return text


def _as_json(text: str) -> tuple[bytes, ...]:
    """How `text` stands in a JSON request: as UTF-8, or with everything beyond ASCII escaped."""
    plain = orjson.dumps(text)[1:-1]
    if plain.isascii():
        return (plain,)
    import json

    return plain, json.dumps(text)[1:-1].encode()


def _prompt_parts(
    parts: tuple[Any, ...], version: str | None, variables: dict[str, Any]
) -> tuple[str, str, str | None]:
    given = list(parts)
    for word in ("name", "template")[len(given) :]:
        if word not in variables:
            raise TypeError(f"prompt() needs a {word}: prompt(name, template, version=None, **variables)")
        given.append(variables.pop(word))
    if len(given) == 3 and version is None:
        version = given.pop()
    if len(given) != 2:
        raise TypeError("prompt() takes a name, a template and a version by position; variables by keyword")
    return str(given[0]), str(given[1]), version


def score(
    name: str,
    value: float | None = None,
    *,
    label: str | None = None,
    comment: str | None = None,
    trace_id: str | None = None,
    span_id: str | None = None,
    author: str | None = None,
    source: Source = "code",
) -> None:
    """Score a trace or a span: the current one, or the one named by ids.

    `value` is a number (True and False count as 1 and 0). Raises TypeError for an unknown `source`.
    Outside of a trace and without a `trace_id` there is nothing to score: counted as a loss.
    """
    if source not in SOURCES:
        raise TypeError(f"unknown source {source!r} (sources: {', '.join(SOURCES)})")
    with guard("score"):
        recorder = recorders.active()
        if recorder is None:
            return
        if trace_id is None:
            here = current_span()
            if here is NOOP:
                recorder.loss("score_without_trace", 1)
                return
            trace_id, span_id = here.trace_id, span_id or here.span_id
        record = {
            "score_id": f"{clock.bits(128):032x}",
            "trace_id": trace_id,
            "span_id": span_id,
            "name": name,
            "value": None if value is None else float(value),
            "label": label,
            "comment": comment,
            "source": source,
            "author": author,
            "created_ns": clock.now(),
        }
        recorder.write(b"score\t1\t" + recorder.capture(record) + b"\n")
