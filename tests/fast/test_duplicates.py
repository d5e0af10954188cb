"""One call that several instrumentations tell of counts once, whatever came first and with whatever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from foreign_spans import GENAI, SDK, call, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_fixture import T0, Writer, ids

import spanreel
from spanreel_exporters.duckdb.ingest import catch_up

COLUMNS = (
    "trace_id, span_id, kind, duplicate_of, input_tokens, output_tokens, cache_read_tokens, cost_usd, cost_source,"
    "provider, request_model, response_model, finish_reason, ttft_ms, error_type"
)
OI = "openinference.instrumentation.langchain"


class Store:
    """A store that foreign spans are written to, some at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def take(self, *spans: dict[str, Any]) -> None:
        self.count += 1
        writer = Writer(self.path, f"{self.count}-0badb007-00000001")
        for span in spans:
            write(writer, **span)
        writer.die()
        catch_up(self.path)

    def rows(self) -> dict[str, dict[str, Any]]:
        found = spanreel.sql(f"SELECT {COLUMNS} FROM spans ORDER BY trace_id, span_id", store=self.path)
        return {str(int(str(row["span_id"]), 16)): dict(row) for row in found}

    def totals(self) -> list[dict[str, Any]]:
        query = "SELECT trace_id, llm_calls, input_tokens, output_tokens, round(cost_usd, 9) AS cost, span_count FROM traces ORDER BY 1"
        return [dict(row) for row in spanreel.sql(query, store=self.path)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def of(span: int, attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"span": span, "attributes": attributes, **more}


def duplicates(store: Store) -> dict[str, str | None]:
    return {
        name: None if row["duplicate_of"] is None else str(int(row["duplicate_of"], 16))
        for name, row in store.rows().items()
        if row["kind"] in {"llm", "embedding"}
    }


@pytest.mark.parametrize("order", ["together", "outer first", "inner first"])
def test_a_framework_over_a_client(store: Store, order: str) -> None:
    outer = of(1, call("r-1", text="Hi"), scope=OI, at=(0, 100))
    inner = of(2, call("r-1"), parent=1, at=(10, 90))
    batches = {
        "together": [[outer, inner]],
        "outer first": [[outer], [inner]],
        "inner first": [[inner], [outer]],
    }
    for batch in batches[order]:
        store.take(*batch)
    assert duplicates(store) == {"1": None, "2": "1"}
    rows = store.rows()
    assert (rows["1"]["input_tokens"], rows["1"]["output_tokens"]) == (49, 31)
    assert rows["1"]["cost_usd"] > 0
    assert (rows["2"]["input_tokens"], rows["2"]["cost_usd"], rows["2"]["cost_source"]) == (None, None, None)
    (trace,) = store.totals()
    assert (trace["llm_calls"], trace["input_tokens"], trace["output_tokens"]) == (1, 49, 31)


def test_three_deep_with_plain_steps_between(store: Store) -> None:
    store.take(
        of(1, call(None, text="Hi"), scope=OI, at=(0, 100)),
        of(2, {"openinference.span.kind": "CHAIN"}, parent=1, scope=OI, at=(5, 95)),
        of(3, call("r-1"), parent=2, at=(10, 90)),
        of(4, call("r-1"), parent=3, scope=SDK, at=(12, 88)),
    )
    assert duplicates(store) == {"1": None, "3": "1", "4": "1"}


def test_a_tool_in_between_makes_two_calls(store: Store) -> None:
    store.take(
        of(1, call("r-1"), at=(0, 100)),
        of(2, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "ask"}, parent=1, at=(5, 95)),
        of(3, call("r-2"), parent=2, at=(10, 90)),
    )
    assert duplicates(store) == {"1": None, "3": None}
    assert store.totals()[0]["input_tokens"] == 98


def test_what_the_outer_one_lacks_comes_from_the_inner_one(store: Store) -> None:
    outer = call(None, tokens=(None, None), model="gpt-4o", text="Hi")
    inner = call(
        "r-1",
        tokens=(49, 31),
        more={"gen_ai.response.time_to_first_chunk": 0.05, "gen_ai.usage.cache_read.input_tokens": 8},
    )
    store.take(of(2, inner, parent=1, at=(10, 90)))
    store.take(of(1, outer, scope=OI, at=(0, 100)))
    row = store.rows()["1"]
    assert (row["input_tokens"], row["cache_read_tokens"], row["ttft_ms"]) == (49, 8, 50.0)
    assert row["response_model"] == "gpt-4o-2024-08-06"
    assert row["cost_usd"] > 0


def test_siblings_of_two_instrumentations(store: Store) -> None:
    """The SDK's own span begins later and ends earlier than the instrumentor's; ids repeat between calls."""
    parent = of(9, {}, scope="app", at=(0, 500))
    store.take(
        parent,
        of(1, call("same", text="a"), parent=9, at=(10, 100)),
        of(2, call("same"), parent=9, scope=SDK, at=(15, 95)),
        of(3, call("same", text="b"), parent=9, at=(200, 300)),
        of(4, call("same"), parent=9, scope=SDK, at=(210, 290)),
    )
    assert duplicates(store) == {"1": None, "2": "1", "3": None, "4": "3"}


def test_parallel_siblings_without_ids_are_told_by_their_times(store: Store) -> None:
    failed = {"error.type": "RateLimitError"}
    store.take(
        of(1, call(None, tokens=(None, None), text="", more=failed), at=(0, 100), status="error"),
        of(2, call(None, tokens=(None, None), more=failed), scope=SDK, at=(1, 99), status="error"),
        of(3, call(None, tokens=(None, None), text="", more=failed), at=(2, 140), status="error"),
        of(4, call(None, tokens=(None, None), more=failed), scope=SDK, at=(4, 138), status="error"),
    )
    assert duplicates(store) == {"1": None, "2": "1", "3": None, "4": "3"}


def test_calls_of_one_instrumentation_are_never_merged_as_siblings(store: Store) -> None:
    store.take(of(1, call("same"), at=(0, 100)), of(2, call("same"), at=(5, 95)))
    assert duplicates(store) == {"1": None, "2": None}


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (0,)], ids=["instrumentor first", "sdk first", "together"])
def test_roots_of_two_traces(store: Store, order: tuple[int, ...]) -> None:
    """The Anthropic SDK's span is the root of a trace of its own where the instrumentor sets no context."""
    spans = {
        1: of(1, call("msg_1", text="Hi"), trace=1, at=(0, 100)),
        2: of(2, call("msg_1"), trace=2, scope=SDK, at=(10, 90)),
        3: of(3, call("msg_1", text="Hi"), trace=3, at=(1000, 1100)),
    }
    for number in order:
        store.take(*([spans[number]] if number else spans.values()))
    if 0 not in order:
        store.take(spans[3])
    assert duplicates(store) == {"1": None, "2": "1", "3": None}
    assert [trace["llm_calls"] for trace in store.totals()] == [1, 0, 1]
    assert sum(trace["input_tokens"] or 0 for trace in store.totals()) == 98


def test_an_outer_embedding_stands_for_its_chunks(store: Store) -> None:
    def embed(tokens: int | None) -> dict[str, Any]:
        return {
            "gen_ai.operation.name": "embeddings", "gen_ai.request.model": "text-embedding-3-small",
            **({} if tokens is None else {"gen_ai.usage.input_tokens": tokens}),
        }  # fmt: skip

    store.take(
        of(1, embed(None), scope="gen_ai", at=(0, 100)),
        of(2, embed(6), scope="gen_ai", parent=1, at=(0, 50)),
        of(3, embed(7), scope="gen_ai", parent=1, at=(50, 100)),
    )
    assert duplicates(store) == {"1": None, "2": "1", "3": "1"}
    assert store.rows()["1"]["input_tokens"] == 13


def test_a_call_that_holds_several_is_none(store: Store) -> None:
    store.take(
        of(1, call(None, tokens=(None, None)), scope=OI, at=(0, 100)),
        of(2, call("r-1", tokens=(10, 1)), parent=1, at=(0, 40)),
        of(3, call("r-2", tokens=(20, 2)), parent=1, at=(50, 100)),
    )
    assert duplicates(store) == {"1": "3", "2": None, "3": None}
    assert store.totals()[0]["input_tokens"] == 30


def test_a_stream_whose_span_has_no_id_in_a_trace_of_its_own(store: Store) -> None:
    """LangChain's callbacks set no context: the client's span is a root, and a stream's has only LangChain's run id."""
    store.take(of(2, call("r-1", text="It is blue.", tokens=(50, 7)), trace=2, at=(10, 90)))
    store.take(of(1, call("lc_run--1", text="It is blue.", tokens=(50, 7)), trace=1, scope=OI, at=(0, 100)))
    store.take(of(3, call("r-3", text="It is red.", tokens=(50, 7)), trace=3, at=(12, 88)))
    assert duplicates(store) == {"1": None, "2": "1", "3": None}


ASKED = '[{"role":"user","parts":[{"type":"text","content":"Why is the sky blue?"}]}]'


def asked(**more: Any) -> dict[str, Any]:
    """Attributes of a call without a response id."""
    return call(
        None, tokens=(None, None), text=more.pop("text", None), more={"gen_ai.input.messages": ASKED, **more}
    )


def test_a_refused_call_that_two_roots_tell_of(store: Store) -> None:
    store.take(
        of(1, asked(), scope=OI, at=(0, 100), status="error"),
        of(2, asked(), trace=2, at=(10, 90), status="error"),
        of(3, asked(**{"gen_ai.request.model": "other", "gen_ai.response.model": "other"}), trace=3, at=(20, 80), status="error"),
        of(4, asked(), trace=4, at=(20, 80)),
    )  # fmt: skip
    assert [row["duplicate_of"] is None for row in store.rows().values()] == [True, False, True, True]


@pytest.mark.parametrize("seconds", [1e306, 1e300, 1e12, -1.0, "Infinity"])
def test_a_wait_that_cannot_be(store: Store, seconds: object) -> None:
    store.take(
        of(
            1,
            call("r-1", text="Hi", more={"gen_ai.response.time_to_first_chunk": seconds}),
            scope=OI,
            at=(0, 100),
        ),
        of(2, call("r-1"), trace=2, at=(10, 90)),
    )
    assert duplicates(store) == {"1": None, "2": "1"}
    assert store.rows()["1"]["ttft_ms"] is None


def test_two_refused_calls_at_one_time_are_two(store: Store) -> None:
    store.take(
        of(1, asked(), scope=OI, at=(0, 100), status="error"),
        of(2, asked(), scope=OI, trace=2, at=(1, 99), status="error"),
        of(3, asked(), trace=3, at=(10, 90), status="error"),
        of(4, asked(), trace=4, at=(11, 89), status="error"),
    )
    assert sum(row["duplicate_of"] is None for row in store.rows().values()) == 2


def test_a_stream_that_lacks_its_input_tokens(store: Store) -> None:
    """LangChain's span of a streamed message has 0 of them; the client's span, without content, has them."""
    store.take(
        of(1, call("lc_run--1", tokens=(0, 31), text="Hi"), scope=OI, at=(0, 100)),
        of(2, call("msg_1", tokens=(49, 31)), scope=SDK, trace=2, at=(10, 90)),
    )
    assert duplicates(store) == {"1": None, "2": "1"}
    assert store.rows()["1"]["input_tokens"] == 49


def test_a_stream_whose_span_ends_before_it_is_read(store: Store) -> None:
    outer = {
        "openinference.span.kind": "LLM", "llm.model_name": "gpt-4o", "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "Hi there ",
        "spanreel.events": [{"name": "First Token Stream Event", "time_ns": T0 + 60_000_000, "attributes": {}}],
    }  # fmt: skip
    store.take(of(1, outer, scope=OI, at=(0, 2)), of(2, call("r-1", text="Hi there"), trace=2, at=(4, 90)))
    assert sorted(row["duplicate_of"] is None for row in store.rows().values()) == [False, True]
    assert sum(total["input_tokens"] or 0 for total in store.totals()) == 49


def test_one_answer_id_in_one_trace_wherever_its_spans_stand(store: Store) -> None:
    """Logfire tells of a streamed call in a log beside the request, below which the client's own span stands."""
    told = call(
        "msg_1", text="Hi", more={"logfire.span_type": "log", "duration": 0.08, "logfire.msg_template": "streaming response from x"}
    )  # fmt: skip
    store.take(
        of(1, {}, at=(0, 900)),
        of(2, {"openinference.span.kind": "CHAIN"}, parent=1, scope="logfire.anthropic", at=(1, 10)),
        of(3, call("msg_1"), parent=2, scope=SDK, at=(5, 90)),
        of(4, told, parent=1, scope="logfire.anthropic", at=(600, 600)),
    )
    assert duplicates(store) == {"3": "4", "4": None}


def test_one_answer_id_in_two_processes_is_two_calls(store: Store) -> None:
    """Local servers number their answers anew, so two programs may be told the same id at the same time."""
    one, other = (
        call("chatcmpl-1", text="Hi", more={"spanreel.otlp": {"resource": {"process.pid": pid}}})
        for pid in (1, 2)
    )
    store.take(of(1, one, scope=OI, at=(0, 100)), of(2, other, trace=2, at=(10, 90)))
    assert duplicates(store) == {"1": None, "2": None}


@pytest.mark.parametrize("ids_told", [True, False])
def test_parallel_calls_with_one_answer_are_as_many_as_they_were(store: Store, ids_told: bool) -> None:
    """Four calls with the same question, answer and id, each told of by two packages; and four told of by one."""
    identity = "chatcmpl-1" if ids_told else None
    pairs = [
        of(
            10 * number + depth,
            call(identity, text="Hi"),
            trace=trace,
            scope=scope,
            at=(number + depth, 100 - depth),
        )
        for number in range(1, 5)
        for depth, scope, trace in ((1, OI, number), (2, GENAI, number + 10))
    ]
    if not ids_told:  # the client's own span knows
        for number, pair in enumerate(pairs):
            if pair["scope"] == GENAI:
                pair["attributes"]["gen_ai.response.id"] = f"r-{number}"
    alone = [
        of(90 + number, call(identity, text="Hi"), trace=90 + number, scope=SDK, at=(300 + number, 400))
        for number in range(4)
    ]
    store.take(*pairs, *alone)
    assert sum(row["duplicate_of"] is None for row in store.rows().values()) == 8


def test_two_spans_of_one_retrieval_and_of_one_tool_call(store: Store) -> None:
    """LlamaIndex makes `retrieve` and `_retrieve`, MCP's client a second span below the tool's."""
    query = {"openinference.span.kind": "RETRIEVER", "input.value": "refunds?"}
    tool = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.call.arguments": '{"city": "Paris"}',
    }
    store.take(
        of(1, query, scope=OI, at=(0, 50)),
        of(
            2,
            {**query, "input.value": '{"query_bundle": {"query_str": "refunds?"}}'},
            scope=OI,
            parent=1,
            at=(5, 45),
        ),
        of(3, tool, at=(60, 90)),
        of(4, {**tool, "mcp.method.name": "tools/call"}, scope="mcp", parent=3, at=(65, 85)),
        of(5, {**tool, "gen_ai.tool.name": "other"}, scope="mcp", parent=4, at=(70, 80)),
        of(6, query, scope=OI, at=(100, 150)),
        of(7, {**query, "input.value": "refunds, first half"}, scope=OI, parent=6, at=(105, 120)),
        of(8, {**query, "input.value": "refunds, second half"}, scope=OI, parent=6, at=(120, 145)),
    )
    found = {name: row["duplicate_of"] for name, row in store.rows().items() if row["duplicate_of"]}
    assert {name: int(by, 16) for name, by in found.items()} == {"2": 1, "4": 3}


def test_totals_of_agents_are_not_counted(store: Store) -> None:
    agent = {**call(None, tokens=(49, 31)), "gen_ai.operation.name": "invoke_agent"}
    store.take(of(1, agent, at=(0, 100)), of(2, call("r-1"), parent=1, at=(10, 90)))
    assert store.rows()["1"]["input_tokens"] is None
    assert store.totals()[0]["input_tokens"] == 49


def test_cached_tokens_beside_the_input_are_taken_from_who_counts_them_in(store: Store) -> None:
    cached = {"gen_ai.usage.cache_read.input_tokens": 2048, "gen_ai.usage.cache_write.input_tokens": 188}
    store.take(
        of(1, call("m", tokens=(21, 93), text="Hi"), scope=OI, at=(0, 100)),
        of(2, call("m", tokens=(2257, 93), more=cached), parent=1, scope=SDK, at=(5, 95)),
    )
    row = store.rows()["1"]
    assert (row["input_tokens"], row["cache_read_tokens"]) == (2257, 2048)


@st.composite
def forests(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Up to eight spans over two traces, each within its parent's time, of three instrumentations."""
    spans: list[dict[str, Any]] = []
    for number in range(1, draw(st.integers(2, 8)) + 1):
        trace = draw(st.integers(1, 2))
        above = [span for span in spans if span["trace"] == trace and span["at"][1] - span["at"][0] > 8]
        parent = draw(st.none() | st.sampled_from(above)) if above else None
        low, high = parent["at"] if parent else (0, 400)
        start = draw(st.integers(low, high - 4))
        end = draw(st.integers(start + 2, high))
        kind = draw(st.sampled_from(["llm", "llm", "llm", "chain", "tool"]))
        tokens = draw(st.sampled_from([(49, 31), (49, 31), (10, 2), (None, None)]))
        attributes = {
            "llm": call(
                draw(st.sampled_from([None, "r-1", "r-2", "lc_run--1"])),
                tokens=tokens,
                text=draw(st.sampled_from([None, "x"])),
            ),
            "chain": {"gen_ai.operation.name": "invoke_workflow"},
            "tool": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"},
        }[kind]
        spans.append({
            "span": number, "attributes": attributes, "trace": trace, "at": (start, end),
            "parent": parent["span"] if parent else None, "scope": draw(st.sampled_from([GENAI, SDK, OI])),
            "status": draw(st.sampled_from(["ok", "ok", "error"])),
        })  # fmt: skip
    return spans


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_batches_and_order_change_nothing(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    spans = data.draw(forests())
    together = Store(tmp_path_factory.mktemp("together") / "store")
    together.take(*spans)
    apart = Store(tmp_path_factory.mktemp("apart") / "store")
    rest = data.draw(st.permutations(spans))
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        apart.take(*rest[:size])
        rest = rest[size:]
    assert apart.rows() == together.rows()
    assert apart.totals() == together.totals()
    counted = [
        row for row in together.rows().values() if row["duplicate_of"] is None and row["kind"] == "llm"
    ]
    assert all(
        row["input_tokens"] is None for row in together.rows().values() if row["duplicate_of"] is not None
    )
    assert sum(row["input_tokens"] or 0 for row in counted) == sum(
        t["input_tokens"] or 0 for t in together.totals()
    )


def test_our_own_wire_span_below_a_framework(store: Store) -> None:
    """The bytes on the wire give the exact usage; the framework's span is the one that is kept."""
    trace, outer, inner = ids(1)[0], ids(1)[1], ids(2)[1]
    request = '{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}]}'
    answer = (
        '{"id":"r-1","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"Ho"},'
        '"finish_reason":"stop"}],"usage":{"prompt_tokens":50,"completion_tokens":31,"total_tokens":81,'
        '"prompt_tokens_details":{"cached_tokens":16}}}'
    )

    def wire() -> None:
        writer = Writer(store.path, "77-0badb007-00000001")
        writer.start(trace, inner, outer, flags="f", kind="llm", name="chat gpt-4o", at=T0 + 10_000_000,
                     attributes={"spanreel.protocol": "openai.chat"})  # fmt: skip
        writer.attempt(trace, inner, 0, {"protocol": "openai.chat", "status": 200}, request, answer)
        writer.end(trace, inner, at=T0 + 90_000_000)
        writer.die()
        catch_up(store.path)

    wire()
    assert store.rows()["2"]["input_tokens"] == 50
    store.take(of(1, call("r-1", text="Ho"), scope=OI, at=(0, 100)))
    assert duplicates(store) == {"1": None, "2": "1"}
    row = store.rows()["1"]
    assert (row["input_tokens"], row["cache_read_tokens"]) == (50, 16)
    assert store.totals()[0]["input_tokens"] == 50
    found = spanreel.sql("SELECT input, output FROM spans WHERE parent_id IS NOT NULL", store=store.path)
    assert "Hi" in str(found[0]["input"])


@pytest.mark.parametrize("order", ["together", "wire first", "native first"])
def test_a_clients_own_span_in_another_trace_than_our_call_on_the_wire(store: Store, order: str) -> None:
    """Beside a provider of the user's, the Anthropic SDK's span is a root; our wire span is below our function's."""
    trace, root, inner = ids(1)[0], ids(1)[1], ids(2)[1]
    answer = (
        '{"id":"msg_1","model":"claude-sonnet-5","role":"assistant","content":[{"type":"text","text":"Ho"}],'
        '"stop_reason":"end_turn","usage":{"input_tokens":49,"output_tokens":31}}'
    )
    native = call("msg_1", model="claude-sonnet-5", more={"gen_ai.request.model": "claude-sonnet-5"})
    spans = {"native": [of(3, native, trace=2, scope=SDK, at=(8, 92))]}

    def take(*which: str) -> None:
        writer = Writer(store.path, f"7{len(which)}{len(which[0])}-0badb007-00000001")
        if "wire" in which:
            writer.start(trace, root, at=T0)
            writer.start(trace, inner, root, kind="llm", name="chat claude", at=T0 + 10_000_000,
                         attributes={"spanreel.protocol": "anthropic.messages"})  # fmt: skip
            writer.attempt(
                trace, inner, 0, {"protocol": "anthropic.messages", "status": 200},
                '{"model":"claude-sonnet-5","messages":[{"role":"user","content":"Hi"}]}', answer,
            )  # fmt: skip
            writer.end(trace, inner, at=T0 + 90_000_000)
            writer.end(trace, root, at=T0 + 95_000_000)
        for name in which:
            for span in spans.get(name, ()):
                write(writer, **span)
        writer.die()
        catch_up(store.path)

    if order == "together":
        take("wire", "native")
    else:
        first = order.removesuffix(" first")
        take(first)
        take("native" if first == "wire" else "wire")
    assert duplicates(store) == {"2": None, "3": "2"}
    assert [(t["llm_calls"], t["input_tokens"]) for t in store.totals()] == [(1, 49), (0, None)]
