"""LangChain's and LangGraph's place in the context.

Their instrumentor listens to callbacks and makes no span the current one. So what runs inside of a runnable, a
tool or a node is put below that one's span where LangChain itself sets its context (`_set_config_context`, in a
context of its own), and a model's or a retriever's call from its start callback until its first token or end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.context.context import Context

from spanreel import context as contexts
from spanreel.guard import guard
from spanreel.instruments.framework_provider import below_of

CALLS = frozenset({"llm", "chat_model", "retriever"})
_tracer: Any = None
"""The instrumentor's callback handler, while it is active."""
_under_way: set[Any] = set()
"""Runs whose model is being called, not only announced."""


def install(tracer: Any) -> Callable[[], None]:
    """Follow what `tracer` (OpenInference's) makes of callbacks; returns how to stop."""
    global _tracer  # noqa: PLW0603 - one per process, as the instrumentor
    _tracer = tracer
    tracer.run_inline = True  # in the caller's context, for asynchronous callers as well
    _listen(tracer)
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.runnables import config

    undo = [
        follow_config(config),
        _wrap(BaseChatModel, "_generate_with_cache", _placed),
        _wrap(BaseChatModel, "_agenerate_with_cache", _placed_async),
    ]

    def stop() -> None:
        global _tracer  # noqa: PLW0603
        _tracer = None
        for step in undo:
            step()

    return stop


def follow_config(module: Any) -> Callable[[], None]:
    """Wrap the `_set_config_context` of `langchain_core` or `langgraph`."""

    def make(original: Any) -> Any:
        @functools.wraps(original)
        def _set_config_context(config: Any, *args: Any, **kwargs: Any) -> Any:
            found = original(config, *args, **kwargs)
            with guard("langchain.context"):
                callbacks = config.get("callbacks") if isinstance(config, dict) else None
                _enter(getattr(callbacks, "parent_run_id", None))
            return found

        return _set_config_context

    return _wrap(module, "_set_config_context", make)


def _wrap(owner: Any, name: str, make: Callable[[Any], Any]) -> Callable[[], None]:
    original = vars(owner).get(name)
    if original is None:
        return lambda: None
    ours = make(original)
    setattr(owner, name, ours)

    def undo() -> None:
        if vars(owner).get(name) is ours:
            setattr(owner, name, original)

    return undo


def _span(run: Any) -> Any:
    """Our stand-in for the span of a run."""
    below = below_of(_tracer.get_span(run)) if _tracer is not None and run is not None else None
    return None if below is None else below.span


def _enter(run: Any) -> Any:
    """Make the span of a run current; returns how to leave, or None."""
    span = _span(run)
    if span is None:
        return None
    context = Context(contexts.current())
    dict.__setitem__(context, contexts.SPAN_KEY, span)
    return contexts.variable.set(context)


def _listen(tracer: Any) -> None:
    """Keep calls of models and retrievers current from their start until their first token or their end."""
    before: dict[Any, tuple[Any, Any]] = {}
    start, end, token = tracer._start_trace, tracer._end_trace, tracer.on_llm_new_token  # noqa: SLF001

    def leave(run: Any) -> None:
        with guard("langchain.leave"):
            span, above = before.pop(run, (None, None))
            here = contexts.current()
            if span is None or here.get(contexts.SPAN_KEY) is not span:
                return
            context = Context(here)
            if above is None:
                dict.pop(context, contexts.SPAN_KEY, None)
            else:
                dict.__setitem__(context, contexts.SPAN_KEY, above)
            contexts.variable.set(context)

    def beside() -> None:
        """`generate()` begins the calls of all prompts before it makes the first: none is below another."""
        here = contexts.current().get(contexts.SPAN_KEY)
        for run, (span, _) in list(before.items()):
            if span is here and run not in _under_way:
                leave(run)

    def _start_trace(run: Any) -> None:
        with guard("langchain.beside"):
            if before and run.parent_run_id is None:
                beside()
        start(run)
        with guard("langchain.enter"):
            above = contexts.current().get(contexts.SPAN_KEY)
            if run.run_type in CALLS and _enter(run.id) is not None:
                before[run.id] = _span(run.id), above

    def _end_trace(run: Any) -> None:
        leave(run.id)
        end(run)

    def on_llm_new_token(*args: Any, run_id: Any, **kwargs: Any) -> Any:
        leave(run_id)
        return token(*args, run_id=run_id, **kwargs)

    tracer._start_trace, tracer._end_trace = _start_trace, _end_trace  # noqa: SLF001
    tracer.on_llm_new_token = on_llm_new_token


@contextmanager
def _inside(run_manager: Any) -> Iterator[None]:
    """Several calls are begun before the first is made: each is put in its own place again."""
    token, run = None, getattr(run_manager, "run_id", None)
    with guard("langchain.inside"):
        token = _enter(run)
        _under_way.add(run)
    try:
        yield
    finally:
        _under_way.discard(run)
        if token is not None:
            contexts.detach(token)


def _placed(original: Any) -> Any:
    @functools.wraps(original)
    def _generate_with_cache(
        self: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Any:
        with _inside(run_manager):
            return original(self, messages, stop, run_manager, **kwargs)

    return _generate_with_cache


def _placed_async(original: Any) -> Any:
    @functools.wraps(original)
    async def _agenerate_with_cache(
        self: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Any:
        with _inside(run_manager):
            return await original(self, messages, stop, run_manager, **kwargs)

    return _agenerate_with_cache
