"""`@trace` on every kind of callable: recorded, nested, and unchanged for the caller."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import pickle
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from recording import Recording

import spanreel


@spanreel.trace
def module_level(a: int, b: int = 2) -> int:
    """Add."""
    return a + b


def _plain(function: Any) -> Any:
    return function.__wrapped__


def test_a_function_is_recorded_with_arguments_and_result(recording: Recording) -> None:
    assert module_level(1, b=5) == 6
    seen = recording.one("module_level")
    assert (seen.kind, seen.status, seen.input, seen.output) == ("chain", "ok", {"a": 1, "b": 5}, 6)
    assert seen.parent == ""
    assert seen.end_ns >= seen.start_ns


def test_nesting_and_recursion(recording: Recording) -> None:
    @spanreel.trace
    def fact(n: int) -> int:
        return 1 if n == 0 else n * fact(n - 1)

    assert fact(3) == 6
    spans = recording.spans()
    assert [span.input["n"] for span in spans] == [3, 2, 1, 0]
    assert [span.parent for span in spans] == ["", *(span.span for span in spans[:-1])]
    assert len({span.trace for span in spans}) == 1


def test_the_exception_is_the_same_object_without_extra_context(recording: Recording) -> None:
    error = LookupError("no such thing")

    @spanreel.trace
    def fail() -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        fail()
    assert caught.value is error
    assert error.__context__ is None
    assert error.__cause__ is None
    seen = recording.one(
        "test_the_exception_is_the_same_object_without_extra_context.<locals>.fail".rpartition("<locals>.")[2]
    )
    assert seen.status == "error"
    assert seen.error is not None
    assert seen.error["type"] == "LookupError"
    assert seen.error["message"] == "no such thing"
    assert "in fail" in seen.error["stacktrace"]


def test_methods_keep_their_shape(recording: Recording) -> None:
    class Agent:
        @spanreel.trace
        def instance(self, x: int) -> tuple[Agent, int]:
            return self, x

        @classmethod
        @spanreel.trace
        def inner_class(cls, x: int) -> type[Agent]:
            return cls

        @spanreel.trace
        @classmethod
        def outer_class(cls, x: int) -> type[Agent]:
            return cls

        @staticmethod
        @spanreel.trace
        def inner_static(x: int) -> int:
            return x

        @spanreel.trace
        @staticmethod
        def outer_static(x: int) -> int:
            return x

    agent = Agent()
    assert agent.instance(1) == (agent, 1)
    assert Agent.instance(agent, 2) == (agent, 2)
    assert Agent.inner_class(3) is Agent
    assert Agent.outer_class(4) is Agent
    assert Agent.inner_static(5) == 5
    assert agent.outer_static(6) == 6
    assert [span.input for span in recording.spans()] == [{"x": n} for n in range(1, 7)]
    assert recording.spans()[0].name.endswith("Agent.instance")


def test_partials_and_callable_objects(recording: Recording) -> None:
    class Adder:
        def __call__(self, x: int, y: int) -> int:
            return x + y

    partial = spanreel.trace(functools.partial(_plain(module_level), 10), name="partial")
    assert partial(b=1) == 11
    assert spanreel.trace(Adder(), name="object")(1, 2) == 3
    assert recording.one("partial").input == {"b": 1}
    assert recording.one("object").input == {"x": 1, "y": 2}


def test_decorators_above_and_below(recording: Recording) -> None:
    def twice(function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return 2 * function(*args, **kwargs)

        return call

    @twice
    @spanreel.trace(name="below")
    def one(x: int) -> int:
        return x

    @spanreel.trace(name="above")
    @twice
    def two(x: int) -> int:
        return x

    assert one(3) == 6
    assert two(4) == 8
    assert recording.one("below").output == 3
    assert recording.one("above").output == 8
    assert recording.one("above").input == {"x": 4}


def test_coroutines_run_under_their_awaiter(recording: Recording) -> None:
    @spanreel.trace
    async def leaf(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @spanreel.trace
    async def fan() -> list[int]:
        return list(await asyncio.gather(*(leaf(n) for n in range(5))))

    assert asyncio.run(fan()) == [0, 1, 2, 3, 4]
    spans = recording.spans()
    root = next(span for span in spans if span.parent == "")
    assert sorted(span.input["n"] for span in spans if span.parent == root.span) == [0, 1, 2, 3, 4]
    assert inspect.iscoroutinefunction(leaf)


def test_a_plain_function_that_gives_a_coroutine_ends_with_it(recording: Recording) -> None:
    @spanreel.trace
    async def inner() -> int:
        return 7

    @spanreel.trace(name="outer")
    def outer() -> Any:
        return inner()

    assert asyncio.run(_awaiting(outer)) == 7
    spans = recording.spans()
    assert [span.output for span in spans] == [7, 7]
    assert spans[1].parent == spans[0].span


async def _awaiting(function: Any) -> Any:
    return await function()


def test_generators_yield_send_throw_return(recording: Recording) -> None:
    @spanreel.trace(name="gen")
    def gen() -> Any:
        got = yield "a"
        try:
            yield got
        except KeyError:
            yield "caught"
        return "done"

    stream: Any = gen()
    assert bool(inspect.isgenerator(stream))
    assert recording.spans() == []
    assert next(stream) == "a"
    assert stream.send("b") == "b"
    assert stream.throw(KeyError()) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(stream)
    assert stop.value.value == "done"
    seen = recording.one("gen")
    assert (seen.output, seen.status, seen.attributes["spanreel.items"]) == ("abcaught", "ok", 3)
    assert seen.first_ns is not None


def test_a_generator_left_early_or_collected_ends_with_what_it_yielded(recording: Recording) -> None:
    closed = []

    @spanreel.trace(name="gen")
    def gen() -> Iterator[str]:
        try:
            yield "x"
            yield "y"
        finally:
            closed.append(spanreel.current_span().name)

    for _ in gen():
        break
    gc.collect()
    stream: Any = gen()
    next(stream)
    stream.close()
    assert closed == ["gen", "gen"]
    assert [(span.output, span.status) for span in recording.spans()] == [("x", "ok"), ("x", "ok")]


def test_the_span_of_a_generator_is_not_current_in_its_consumer(recording: Recording) -> None:
    @spanreel.trace(name="inner")
    def inner() -> None: ...

    @spanreel.trace(name="gen")
    def gen() -> Iterator[int]:
        inner()
        yield 1
        inner()
        yield 2

    @spanreel.trace(name="consumer")
    def consumer() -> None:
        for _ in gen():
            assert spanreel.current_span().name == "consumer"

    consumer()
    spans = {span.span: span for span in recording.spans()}
    parents = [(span.name, spans[span.parent].name) for span in spans.values() if span.parent]
    assert sorted(parents) == [("gen", "consumer"), ("inner", "gen"), ("inner", "gen")]


def test_async_generators_asend_athrow_aclose(recording: Recording) -> None:
    @spanreel.trace(name="agen")
    async def agen() -> AsyncIterator[Any]:
        got = yield 1
        try:
            yield got
        except KeyError:
            yield "caught"

    async def use() -> list[Any]:
        stream: Any = agen()
        seen = [await stream.__anext__(), await stream.asend(2), await stream.athrow(KeyError())]
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()
        broken: Any = agen()
        async for item in broken:
            seen.append(item)
            break
        await broken.aclose()
        return seen

    assert asyncio.run(use()) == [1, 2, "caught", 1]
    assert [span.output for span in recording.spans()] == [[1, 2, "caught"], [1]]
    assert all(span.ends == 1 for span in recording.spans())


def test_an_async_generator_that_is_collected_unfinished_ends(recording: Recording) -> None:
    @spanreel.trace(name="agen")
    async def agen() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def use() -> None:
        stream = agen()
        assert await stream.__anext__() == 1
        del stream
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(use())
    assert (recording.one("agen").ended, recording.one("agen").output) == (True, [1])


def test_a_failing_generator_is_an_error(recording: Recording) -> None:
    @spanreel.trace(name="gen")
    def gen() -> Iterator[int]:
        yield 1
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        list(gen())
    seen = recording.one("gen")
    assert seen.error is not None
    assert (seen.status, seen.output, seen.error["type"]) == ("error", [1], "ValueError")


def test_introspection_survives() -> None:
    assert module_level.__name__ == "module_level"
    assert module_level.__doc__ == "Add."
    assert str(inspect.signature(module_level)) == "(a: 'int', b: 'int' = 2) -> 'int'"
    assert inspect.isfunction(module_level)
    assert inspect.unwrap(module_level) is _plain(module_level)
    assert inspect.getsource(module_level).startswith("@spanreel.trace")


def test_pickling_by_name() -> None:
    module = inspect.getmodule(module_level)
    assert module is not None
    import sys

    sys.modules[module_level.__module__] = module
    assert pickle.loads(pickle.dumps(module_level)) is module_level


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"kind": "retrival"}, "did you mean 'retrieval'"),
        ({"nam": "x"}, "did you mean 'name'"),
        ({"kind": 3}, "unknown kind 3"),
    ],
)
def test_unknown_kinds_and_options_name_the_nearest(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(TypeError, match=hint):
        spanreel.trace(**options)


def test_what_cannot_be_traced_is_said() -> None:
    with pytest.raises(TypeError, match="decorate its methods"):
        spanreel.trace(dict)
    with pytest.raises(TypeError, match="takes a callable, not int"):
        spanreel.trace(3)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "function",
    [lambda api_key, q: q, staticmethod(lambda api_key: 1), functools.partial(lambda api_key, q: q, q=2)],
)
def test_an_ignored_argument_that_does_not_exist_is_said(function: Any) -> None:
    with pytest.raises(TypeError, match="'api_kee'; did you mean 'api_key'"):
        spanreel.trace(ignore="api_kee")(function)
    assert spanreel.trace(ignore="api_key")(function) is not None


def test_what_may_arrive_by_keyword_may_be_ignored(recording: Recording) -> None:
    @functools.wraps(module_level)
    def outer(*args: Any, **kwargs: Any) -> Any:
        return len(args) + len(kwargs)

    functions: tuple[Any, ...] = (outer, lambda **kwargs: 1)
    for number, function in enumerate(functions):
        spanreel.trace(name=f"open {number}", ignore=("token",))(function)(token="hush-hush")
    assert b"hush-hush" not in recording.raw()


@pytest.mark.parametrize(
    ("code", "status"), [(None, "ok"), (0, "ok"), (False, "ok"), (3, "error"), ("no config", "error")]
)
def test_leaving_with_success_is_no_error(recording: Recording, code: Any, status: str) -> None:
    @spanreel.trace
    def leave() -> None:
        with spanreel.span("block"):
            raise SystemExit(code)

    with pytest.raises(SystemExit) as caught:
        leave()
    assert caught.value.code is code
    assert [span.status for span in recording.spans()] == [status, status]
    assert [span.error is None for span in recording.spans()] == [status == "ok"] * 2


def test_shortcuts_and_aliases(recording: Recording) -> None:
    for name in ("llm", "tool", "retriever", "generation", "task", "workflow"):
        spanreel.trace(kind=name, name=name)(lambda: 1)()
        getattr(spanreel.trace, name)(name=f"{name}.")(lambda: 1)()
    kinds = {span.name: span.kind for span in recording.spans()}
    assert kinds == {
        "llm": "llm", "llm.": "llm", "tool": "tool", "tool.": "tool", "retriever": "retrieval",
        "retriever.": "retrieval", "generation": "llm", "generation.": "llm", "task": "chain",
        "task.": "chain", "workflow": "chain", "workflow.": "chain",
    }  # fmt: skip


def test_ignored_arguments_and_capture_off(recording: Recording) -> None:
    spanreel.trace(name="ignoring", ignore=("key",))(lambda key, q: q)("hush-hush", 2)
    spanreel.trace(name="silent", capture=False)(lambda q: q)("hush-hush")
    assert recording.one("ignoring").input == {"key": "[ignored]", "q": 2}
    assert (recording.one("silent").input, recording.one("silent").output) == (None, None)
    assert b"hush-hush" not in recording.raw()


def test_our_failure_stays_ours(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    from spanreel import recorder
    from spanreel.guard import guard

    guard.strict = False

    def broken(*_args: Any) -> Any:
        raise ZeroDivisionError("ours")

    module_level(1)
    monkeypatch.setattr(recorder, "begin", broken)
    assert module_level(1) == 3
    assert recording.losses()["internal:trace.open"] == 1


def test_a_cancelled_call_is_abandoned_and_no_failure(recording: Recording) -> None:
    @spanreel.trace(name="slow")
    async def slow() -> None:
        await asyncio.sleep(10)

    async def leave() -> None:
        task = asyncio.create_task(slow())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    seen = recording.one("slow")
    assert seen.error is not None
    assert (seen.status, seen.attributes["spanreel.state"]) == ("unset", "abandoned")
    assert seen.error["type"] == "asyncio.exceptions.CancelledError"
