"""The tool calls that models asked for, beside the tool spans that ran them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_fixture import MS, T0, Writer
from recording import Recording

import spanreel
from spanreel.analysis.tool_calls import Step, ToolCall, link

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def ask(span: str, at: int, *calls: tuple[str | None, str, Any], kind: str = "llm") -> Step:
    parts = [{"type": "tool_call", "id": key, "name": name, "arguments": given} for key, name, given in calls]
    said = orjson.dumps([{"role": "assistant", "parts": parts}]).decode()
    return Step(span, "root", kind, "chat m", None, at, at + 5, output=said)


def run(span: str, at: int, name: str, given: Any, **more: Any) -> Step:
    text = None if given is None else orjson.dumps(given).decode()
    return Step(span, more.pop("parent", "root"), "tool", name, name, at, at + 5, input=text, **more)


def pairs(calls: list[ToolCall]) -> list[tuple[str | None, str, str | None]]:
    return [(call.asked_by, call.name, call.ran_as) for call in calls]


def test_by_name_and_arguments_in_any_order_of_keys() -> None:
    steps = [
        ask("a", 0, ("1", "find", {"q": "x", "k": 2}), ("2", "find", {"q": "y", "k": 2.0})),
        run("t2", 10, "find", {"k": 2, "q": "y"}),
        run("t1", 20, "find", {"k": 2, "q": "x"}),
    ]
    found = link(steps)
    assert pairs(found) == [("a", "find", "t1"), ("a", "find", "t2")]
    assert {call.by for call in found} == {"arguments"}


def test_each_run_answers_one_call_across_turns() -> None:
    steps = [
        ask("a", 0, ("1", "now", {})),
        run("t1", 10, "now", {}),
        ask("b", 20, ("2", "now", {})),
        run("t2", 30, "now", {}),
        ask("c", 40, ("3", "now", {})),
    ]
    assert pairs(link(steps)) == [("a", "now", "t1"), ("b", "now", "t2"), ("c", "now", None)]


def test_an_id_wins_over_arguments() -> None:
    steps = [
        ask("a", 0, ("1", "find", {"q": "x"}), ("2", "find", {"q": "x"})),
        run("t1", 10, "find", {"q": "x"}, attributes='{"gen_ai.tool.call.id": "2"}'),
        run("t2", 20, "find", {"q": "other"}, attributes='{"gen_ai.tool.call.id": "1"}'),
    ]
    assert pairs(link(steps)) == [("a", "find", "t2"), ("a", "find", "t1")]


def test_a_run_with_another_id_is_not_this_call() -> None:
    steps = [
        ask("a", 0, ("1", "find", {})),
        run("t", 10, "find", {}, attributes='{"gen_ai.tool.call.id": "9"}'),
    ]
    assert pairs(link(steps)) == [("a", "find", None), (None, "find", "t")]


@pytest.mark.parametrize("value", ["alpha", 7, [1, 2], ""])
def test_the_one_argument_without_its_name(value: Any) -> None:
    calls = link([ask("m", 1, ("c1", "lookup", {"key": value})), run("t", 2, "lookup", value)])
    assert pairs(calls) == [("m", "lookup", "t")]


@pytest.mark.parametrize("held", ["data", "kwargs", None])
def test_a_result_that_names_the_call_it_answers(held: str | None) -> None:
    """As LangChain's ToolMessage does; what it was called with need not be readable."""
    said: dict[str, Any] = {"content": "x", "tool_call_id": "c2"}
    output = json.dumps({held: said} if held else said)
    calls = link([
        ask("m", 1, ("c1", "f", {"a": 1, "b": 2}), ("c2", "f", {"a": 3, "b": 4})),
        run("t", 2, "f", "{'a': 3, 'b': 4}", output=output),
    ])  # fmt: skip
    assert pairs(calls) == [("m", "f", None), ("m", "f", "t")]
    assert [call.by for call in calls] == [None, "id"]


def test_asked_and_not_run_and_run_and_not_asked() -> None:
    steps = [
        ask("a", 5, ("1", "delete", {"id": 1})),
        run("early", 0, "delete", {"id": 1}),
        run("t", 10, "search", {"q": "x"}),
    ]
    found = link(steps)
    assert pairs(found) == [("a", "delete", None), (None, "delete", "early"), (None, "search", "t")]
    assert [(call.asked, call.ran) for call in found] == [(True, False), (False, True), (False, True)]
    assert found[0].arguments == '{"id":1}'
    assert found[2].arguments == '{"q":"x"}'


@pytest.mark.parametrize(
    "given",
    [
        {"q": "x"},
        {"args": {"q": "x"}},
        {"call": '{"q": "x"}'},
        {"q": "x", "k": 5},
        {"arguments": {"q": "x"}, "ctx": "Context"},
    ],
)
def test_the_shapes_in_which_tools_take_arguments(given: Any) -> None:
    assert pairs(link([ask("a", 0, ("1", "find", '{"q":"x"}')), run("t", 9, "find", given)])) == [
        ("a", "find", "t")
    ]


def test_without_recorded_arguments_the_name_tells() -> None:
    (call,) = link([ask("a", 0, ("1", "find", {"q": "x"})), run("t", 9, "find", None)])
    assert (call.ran_as, call.by) == ("t", "name")


def test_true_is_not_one() -> None:
    found = link([ask("a", 0, ("1", "find", {"q": True})), run("t", 9, "find", {"q": 1})])
    assert pairs(found) == [("a", "find", None), (None, "find", "t")]


def test_the_same_call_told_twice_counts_once() -> None:
    steps = [
        ask("a", 0, ("1", "find", {})),
        ask("b", 1, ("1", "find", {})),
        ask("agent", 0, ("1", "find", {}), kind="agent"),
        run("t", 9, "find", {}),
        run("inner", 10, "find", {}, parent="t"),
        run("twice", 11, "find", {}, duplicate_of="t"),
    ]
    assert pairs(link(steps)) == [("a", "find", "t")]


def test_openai_and_anthropic_spelling() -> None:
    openai = [
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"a":1}'}}]}
    ]
    claude = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "2", "name": "f", "input": {"a": 2}}]}
    ]
    steps = [
        Step("o", None, "llm", "chat", None, 0, 1, output=json.dumps(openai)),
        Step("c", None, "llm", "chat", None, 2, 3, output=json.dumps(claude)),
        run("t2", 5, "execute_tool f", {"a": 2}),
        run("t1", 6, "f", {"a": 1}),
    ]
    steps[2] = Step("t2", None, "tool", "execute_tool f", "f", 5, input='{"a":2}')
    assert pairs(link(steps)) == [("o", "f", "t1"), ("c", "f", "t2")]


@given(st.lists(st.tuples(st.sampled_from("fg"), JSON), max_size=6), st.randoms(use_true_random=False))
def test_every_call_is_answered_once_whatever_the_order(calls: list[tuple[str, Any]], random: Any) -> None:
    """What was asked and run as asked is paired wholly, one to one, and the order of the spans says nothing."""
    steps = [ask("a", 0, *((f"{n}", name, given) for n, (name, given) in enumerate(calls)))]
    steps += [run(f"t{n}", n + 1, name, given) for n, (name, given) in enumerate(calls) if given is not None]
    wanted = sum(given is not None for _, given in calls)
    found = link(steps)
    ran = [call.ran_as for call in found if call.asked and call.ran]
    assert len(ran) == len(set(ran)) == wanted
    random.shuffle(steps)
    assert link(steps) == found


@given(JSON, JSON, st.text(max_size=30), st.sampled_from(["llm", "tool", "span"]))
def test_whatever_stands_there_nothing_is_raised(output: Any, given_: Any, text: str, kind: str) -> None:
    for body in (
        json.dumps(output),
        text,
        json.dumps([{"role": "x", "parts": [{"type": "tool_call", "name": output, "arguments": given_}]}]),
    ):
        link([Step("a", "a", kind, text, None, 0, None, None, body, body, text), run("t", 1, text, given_)])


def _store(tmp_path: Path) -> Path:
    writer = Writer(tmp_path)
    trace = "1" * 32
    said = [{"role": "assistant", "parts": [
        {"type": "tool_call", "id": "c1", "name": "find", "arguments": {"q": "x"}},
        {"type": "tool_call", "id": "c2", "name": "drop", "arguments": {"all": True}},
    ]}]  # fmt: skip
    for span, parent, kind, name, at, given_, output in (
        ("a" * 16, "", "agent", "agent", 0, None, None),
        ("b" * 16, "a" * 16, "llm", "chat m", 1, None, said),
        ("c" * 16, "a" * 16, "tool", "find", 20, {"q": "x"}, "found"),
        ("d" * 16, "a" * 16, "tool", "log", 30, {"line": "y"}, None),
    ):
        start = T0 + at * MS
        writer.raw(
            b"\t".join([
                b"start", b"1", trace.encode(), span.encode(), parent.encode(), b"", b"%d" % start, kind.encode(),
                orjson.dumps(name), b"" if given_ is None else orjson.dumps(given_), b"",
            ]) + b"\n"
        )  # fmt: skip
        writer.raw(
            b"\t".join([
                b"end", b"1", trace.encode(), span.encode(), b"%d" % (start + 5 * MS), b"ok", b"",
                b"" if output is None else orjson.dumps(output), b"", b"",
            ]) + b"\n"
        )  # fmt: skip
    return tmp_path


def test_the_reader_and_show_tell_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from spanreel.cli import main
    from spanreel_exporters.duckdb.reader import DuckReader

    store = _store(tmp_path)
    with DuckReader(store) as reader:
        calls = reader.tool_calls("1" * 32)
    assert pairs(calls) == [("b" * 16, "find", "c" * 16), ("b" * 16, "drop", None), (None, "log", "d" * 16)]
    assert main(["show", "last", "--json", "--store", str(store)]) == 0
    told = json.loads(capsys.readouterr().out)["tool_calls"]
    assert told[0] == {
        "asked_by": "b" * 16, "call_id": "c1", "name": "find", "arguments": {"q": "x"}, "ran_as": "c" * 16,
        "by": "arguments", "asked": True, "ran": True,
    }  # fmt: skip
    assert [one["ran"] for one in told] == [True, False, True]
    assert main(["show", "last", "--store", str(store)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "asked for drop, which did not run" in next(line for line in lines if "chat m" in line)
    assert "not asked for" in next(line for line in lines if "tool log" in line)
    assert "asked" not in next(line for line in lines if "tool find" in line)


def test_a_loop_of_ones_own_with_traced_tools(recording: Recording) -> None:
    """The usual case: the program itself calls its `@trace.tool` functions, after the model's answer."""

    @spanreel.trace.tool
    def find(q: str, k: int = 5) -> str:
        return q * k

    @spanreel.trace
    def agent() -> None:
        for turn in range(2):
            with spanreel.span("chat", kind="llm") as span:
                calls = [
                    {
                        "id": f"{turn}",
                        "type": "function",
                        "function": {"name": "find", "arguments": '{"q": "x"}'},
                    }
                ]
                span.set_messages(output=[{"role": "assistant", "tool_calls": calls}])
            find("x")

    agent()
    from spanreel_exporters.duckdb.reader import DuckReader

    with DuckReader(recording.store) as reader:
        calls = reader.tool_calls(recording.spans()[0].trace)
    spans = recording.spans()
    asks = [span.span for span in spans if span.name == "chat"]
    runs = [span.span for span in spans if span.name == "find"]
    assert [(call.asked_by, call.ran_as) for call in calls] == list(zip(asks, runs, strict=True))
