"""Attributes of our own recorder -> the canonical record."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.analysis.dialects import normalise
from spanreel.analysis.dialects.spanreel import documents
from spanreel.analysis.record import KINDS, Attempt, RawSpan


def span(kind: str = "llm", attributes: dict[str, Any] | None = None, **fields: Any) -> RawSpan:
    text = orjson.dumps(attributes).decode() if attributes is not None else ""
    known: dict[str, Any] = {
        "trace_id": "a" * 32, "span_id": "b" * 16, "parent_id": None, "foreign_parent": False, "kind": kind,
        "name": "n", "start_ns": 1_000_000, "end_ns": 11_000_000, "state": "ended",
        "attributes": attributes or {}, "attributes_json": text,
    }  # fmt: skip
    return RawSpan(**{**known, **fields})


USAGE = {
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_read.input_tokens": 3,
    "gen_ai.usage.cache_write.input_tokens": 2,
    "gen_ai.usage.reasoning.output_tokens": 5,
    "spanreel.cost_usd": 0.5,
}


def test_what_the_setters_say() -> None:
    row = normalise(span(attributes=USAGE, first_ns=6_000_000))
    assert (row.provider, row.request_model, row.response_model, row.finish_reason) == (
        "openai", "gpt-4o", "gpt-4o-2024-08-06", "stop",
    )  # fmt: skip
    assert (
        row.input_tokens,
        row.output_tokens,
        row.cache_read_tokens,
        row.cache_write_tokens,
        row.reasoning_tokens,
    ) == (10, 20, 3, 2, 5)
    assert (row.cost_usd, row.cost_source) == (0.5, "reported")
    assert row.ttft_ms == 5.0
    assert row.attributes == orjson.dumps(USAGE).decode()


@pytest.mark.parametrize("kind", ["agent", "chain"])
def test_totals_of_containers_are_not_counted_again(kind: str) -> None:
    row = normalise(span(kind, USAGE))
    assert (row.input_tokens, row.output_tokens, row.cost_usd, row.cost_source) == (None, None, None, None)
    assert orjson.loads(row.attributes)["gen_ai.usage.input_tokens"] == 10


def test_context_of_any_span() -> None:
    row = normalise(
        span("chain", {
            "session.id": "s", "user.id": 7, "spanreel.tags": ["a", 1], "spanreel.metadata": {"k": [1]},
            "deployment.environment.name": "prod", "service.version": "2", "gen_ai.prompt.name": "p", "gen_ai.prompt.version": "v",
        })
    )  # fmt: skip
    assert (row.session_id, row.user_id, row.tags, row.metadata) == ("s", "7", ["a", "1"], '{"k":[1]}')
    assert (row.environment, row.release, row.prompt_name, row.prompt_version) == ("prod", "2", "p", "v")
    assert normalise(span("chain", {"gen_ai.conversation.id": "c"})).session_id == "c"


def test_tools_have_a_name() -> None:
    assert normalise(span("tool")).tool_name == "n"
    assert normalise(span("tool", {"gen_ai.tool.name": "lookup"})).tool_name == "lookup"
    assert normalise(span("chain")).tool_name is None


def test_documents_leave_the_attributes_for_rows_of_their_own() -> None:
    row = normalise(
        span(
            "retrieval",
            {
                "x": 1,
                "spanreel.documents": [
                    {"id": 5, "score": 1, "content": "c", "metadata": {"a": 1}},
                    "bare",
                    {"content": {"k": 1}},
                ],
            },
        )
    )
    assert row.attributes == '{"x":1}'
    assert [(d.rank, d.id, d.score, d.content, d.metadata) for d in row.documents] == [
        (0, "5", 1.0, "c", '{"a":1}'), (1, None, None, "bare", None), (2, None, None, '{"k":1}', None),
    ]  # fmt: skip


def test_messages_become_the_bodies_and_what_was_there_is_kept() -> None:
    asked, said = [{"role": "user", "parts": []}], [{"role": "assistant", "parts": []}]
    row = normalise(
        span(
            attributes={
                "gen_ai.input.messages": asked,
                "gen_ai.output.messages": orjson.dumps(said).decode(),
            },
            input='{"args":[1.50]}',
        )
    )
    assert (orjson.loads(row.input or ""), orjson.loads(row.output or "")) == (asked, said)
    assert row.attributes == '{"spanreel.input":{"args":[1.50]}}'


def test_the_wire_tells_the_call() -> None:
    request = {"model": "gpt-4o", "temperature": 0.5, "messages": [{"role": "user", "content": "hi"}]}
    response = {
        "id": "r1", "object": "chat.completion", "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "prompt_tokens_details": {"cached_tokens": 4}},
    }  # fmt: skip
    meta = {
        "protocol": "openai.chat",
        "url": "https://api.openai.com/v1/chat/completions",
        "status": 200,
        "first_ns": 3_000_000,
        "chunks": [[0, 5]],
    }
    failed = Attempt(0, {**meta, "status": 429}, orjson.dumps(request), b"{}")
    answered = Attempt(1, meta, orjson.dumps(request), orjson.dumps(response))
    row = normalise(span(attributes={"spanreel.protocol": "openai.chat"}, attempts=[answered, failed]))
    assert (row.provider, row.request_model, row.response_model, row.finish_reason) == (
        "openai",
        "gpt-4o",
        "gpt-4o-2024-08-06",
        "stop",
    )
    assert (row.input_tokens, row.output_tokens, row.cache_read_tokens, row.ttft_ms) == (9, 2, 4, 2.0)
    assert orjson.loads(row.input or "")[0]["parts"][0]["content"] == "hi"
    assert orjson.loads(row.output or "")[0]["parts"][0]["content"] == "hello"
    attributes = orjson.loads(row.attributes)
    assert (attributes["gen_ai.response.id"], attributes["gen_ai.request.temperature"]) == ("r1", 0.5)


def test_a_call_that_cannot_be_folded_is_counted_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from spanreel.protocols import table

    monkeypatch.delattr(table, "fold")
    lost: list[str] = []
    row = normalise(
        span(attributes={**USAGE, "spanreel.protocol": "openai.chat"}, attempts=[Attempt(0, {}, b"", b"")]),
        lose=lost.append,
    )
    assert lost == ["fold_failed"]
    assert row.input_tokens == 10


json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = sorted({*USAGE, "session.id", "user.id", "spanreel.tags", "spanreel.metadata", "spanreel.documents", "gen_ai.input.messages",
                "gen_ai.output.messages", "spanreel.first_token_ns", "spanreel.protocol", "gen_ai.tool.name"})  # fmt: skip


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(NAMES), json, max_size=6))
def test_no_attributes_make_it_raise(kind: str, attributes: dict[str, Any]) -> None:
    row = normalise(span(kind, attributes))
    orjson.loads(row.attributes)


@given(st.lists(json, max_size=4))
def test_documents_are_total_and_ranked(values: list[Any]) -> None:
    assert [document.rank for document in documents(values)] == list(range(len(values)))
