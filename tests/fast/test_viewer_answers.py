"""What the browser is told: the head of a trace, columns, refusals in a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import viewer_fixture as fixture
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient
from viewer_traces import EPOCH_NS, left, retried

from spanreel_viewer import answers, payload, source, story
from spanreel_viewer.api import routes

NOW = EPOCH_NS + 60 * 10**9
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def store() -> Iterator[fixture.Store]:
    made = fixture.standard(many=6, sizes=(50,))
    source.use(made.source())
    yield made
    source.use(None)


@pytest.fixture
def client(store: fixture.Store) -> TestClient:
    return TestClient(Starlette(routes=routes()), raise_server_exceptions=True)


def told(store: fixture.Store, prefix: str) -> dict[str, Any]:
    return answers.trace(fixture.FixtureReader(store), prefix, now_ns=NOW)


def test_the_head_tells_a_run_that_went_well(store: fixture.Store) -> None:
    head = told(store, fixture.trace_id(0))["story"]
    assert head["asked"]["text"].startswith("What is the refund window")
    assert head["answered"]["text"].startswith("Annual plans can be refunded")
    assert head["wrong"]["text"].startswith("TimeoutError: orders-db")
    assert head["wrong"]["fatal"] is False
    assert head["slow"]["kind"] == "llm"
    assert head["slow"]["steps"] == 3


def test_the_head_names_the_failure_that_reached_the_root(store: fixture.Store) -> None:
    answer = told(store, "fa11")
    wrong = answer["story"]["wrong"]
    assert wrong["fatal"] is True
    assert answer["spans"]["names"][answer["spans"]["columns"]["name"][wrong["at"]]] == "chat gpt-4.1"
    assert answer["story"]["answered"] is None


def test_a_call_that_was_tried_again_is_told_by_its_answer(store: fixture.Store) -> None:
    store.add(retried("4e74" + fixture.trace_id(8)[4:], EPOCH_NS))
    assert told(store, "4e74")["story"]["answered"] == {"text": "1 vector of 8 dimensions", "at": 1}


def test_an_answer_that_nobody_read_to_its_end_names_the_call(store: fixture.Store) -> None:
    store.add(left("1ef7" + fixture.trace_id(7)[4:], EPOCH_NS))
    wrong = told(store, "1ef7")["story"]["wrong"]
    assert (wrong["left"], wrong["stopped"], wrong["errors"]) == (1, None, 0)


def test_unfinished_and_broken_runs_are_marked(store: fixture.Store) -> None:
    running = told(store, "aa00")["spans"]["columns"]
    assert [bits & payload.RUNNING for bits in running["flags"]] == [payload.RUNNING, 0, 0, payload.RUNNING]
    assert running["end"][0] is None
    broken = told(store, "b0b0")["spans"]["columns"]
    stopped = told(store, "b0b0")["story"]["wrong"]["stopped"]
    assert broken["flags"][stopped] & payload.INTERRUPTED
    assert broken["depth"][stopped] == 1, "the call in which the process ended, not the root around it"
    assert broken["flags"][0] == payload.INTERRUPTED | payload.FOREIGN_PARENT
    assert broken["flags"][2] == payload.MISSING_PARENT
    assert broken["end"][0] is not None


def test_columns_are_parallel_and_hold_no_body() -> None:
    big = fixture.standard(many=0, sizes=(10_000,))
    answer = answers.trace(fixture.FixtureReader(big), "010000", now_ns=NOW)
    columns = answer["spans"]["columns"]
    assert {len(values) for values in columns.values()} == {10_000}
    text = json.dumps(answer, separators=(",", ":"))
    assert len(text) < 1_000_000
    assert "Which ticket is next" not in text


@given(JSON)
def test_any_value_can_be_asked_and_answered(value: Any) -> None:
    for read in (story.asked, story.answered):
        found = read(value)
        assert isinstance(found, str)
        assert len(found) <= story.LIMIT


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ({"question": "why", "k": 3}, "why"),
        ({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "hello"}]}]}, "hello"),
        ({"args": ["only this"], "kwargs": {}}, "only this"),
        ([{"role": "user", "parts": [{"type": "text", "content": "first"}]}, {"role": "user", "parts": [{"type": "text", "content": "second"}]}], "first"),
        ({"a": 1}, ""), (None, ""), ([], ""),
    ],
)  # fmt: skip
def test_the_question_is_found(value: Any, text: str) -> None:
    assert story.asked(value) == text


def test_the_list_is_paged_and_filtered(client: TestClient) -> None:
    first = client.get("/api/traces", params={"limit": 4}).json()
    assert len(first["rows"]) == 4
    assert first["total"] == 11
    starts = [row["started_ms"] for row in first["rows"]]
    assert starts == sorted(starts, reverse=True)
    assert client.get("/api/traces", params={"status": "error"}).json()["total"] == 1
    assert (
        client.get("/api/traces", params={"status": "running"}).json()["rows"][0]["name"] == "nightly_report"
    )
    assert client.get("/api/traces", params={"q": "licence"}).json()["total"] == 1
    assert client.get("/api/traces", params={"model": "llama-3.3-70b"}).json()["total"] == 1
    assert client.get("/api/traces", params={"kind": "evaluator"}).json()["total"] == 6


def test_the_summary_says_when_cost_is_a_lower_bound(client: TestClient) -> None:
    figures = client.get("/api/summary").json()
    assert figures["traces"] == 11
    assert figures["running"] == 1
    assert figures["errors"] == 1
    assert figures["unpriced_calls"] == 1
    assert figures["losses"] == 2
    assert figures["p95_ms"] >= figures["p50_ms"] > 0
    assert figures["loss_lines"][0].startswith("2: ")


def test_a_span_comes_with_body_error_and_exchange(store: fixture.Store, client: TestClient) -> None:
    trace = store.writers[fixture.trace_id(0)]
    failed = next(span for span in trace.spans if span.status == "error")
    body = client.get("/api/span", params={"trace": trace.trace_id, "span": failed.span_id}).json()
    assert body["error"]["type"] == "TimeoutError"
    assert "tools.py" in body["error"]["stacktrace"]
    assert "stacktrace" not in body["attributes"]
    model = next(span for span in trace.spans if span.kind == "llm")
    body = client.get("/api/span", params={"trace": trace.trace_id, "span": model.span_id}).json()
    assert body["attempts"][0]["meta"]["status"] == 200
    assert json.loads(body["attempts"][0]["request"])["model"] == "gpt-4.1"


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/api/trace?trace=abcdef", 404, "There is no trace"),
        ("/api/trace?trace=", 400, "trace is missing"),
        ("/api/span?trace=1", 400, "trace and span"),
        ("/api/traces?limit=-1", 400, "limit must be a whole number"),
        ("/api/traces?offset=1e9", 400, "offset must be a whole number"),
        ("/api/traces?status=banana", 400, "status must be one of"),
    ],
)
def test_refusals_are_sentences(client: TestClient, path: str, status: int, says: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.json()["error"].startswith(says)


def test_a_store_that_cannot_be_read_is_a_sentence_too(client: TestClient) -> None:
    source.use(None)
    answer = client.get("/api/traces")
    assert answer.status_code == 503
    assert "spanreel view" in answer.json()["error"]


def test_bytes_that_are_no_text_are_named() -> None:
    from spanreel_exporters.duckdb.results import WireExchange

    told_exchange = answers.exchange(WireExchange(0, {}, b"{}", b"\xff\xfe\x00" * 1000))
    assert told_exchange["response"] == "(3.0 kB of binary data)"


def test_the_pulse_of_a_store_beats_when_its_files_move(tmp_path: Any) -> None:
    (tmp_path / "journal").mkdir()
    pulse = source.StorePulse(tmp_path)
    first = pulse.token()
    assert pulse.token() == first
    (tmp_path / "traces.duckdb").write_bytes(b"x")
    second = pulse.token()
    assert second != first
    assert pulse.token() == second


@pytest.mark.parametrize("depth", [150, 600, 990, 100_000])
@pytest.mark.parametrize("ends", [("[", "]"), ('{"input":', "}"), ('{"output":', "}"), ('{"messages":', "}")])
def test_a_value_nested_very_deeply_does_not_cost_the_page(depth: int, ends: tuple[str, str]) -> None:
    deep = ends[0] * depth + '"words"' + ends[1] * depth
    columns = {"parent": [-1], "flags": [0], "wait": [1], "end": [1], "kind": [0]}
    table = {"columns": columns, "kinds": ["chain"], "errors": {}}
    assert story.tell(table, lambda _place: (deep, deep))["wrong"]["errors"] == 0


def test_an_address_that_names_a_trace_leads_to_it(client: TestClient) -> None:
    answer = client.get("/?trace=ab12&span=0f&q=x", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, "/trace?trace=ab12&span=0f")
    odd = client.get("/?trace=//evil.example/%0d%0aX:%20y", follow_redirects=False)
    assert odd.headers["location"] == "/trace?trace=%2F%2Fevil.example%2F%0D%0AX%3A+y"
    for plain in ("/?q=x", "/?trace=", "/trace?trace=ab12"):
        assert client.get(plain, follow_redirects=False).status_code == 200


def test_a_found_row_tells_where_in_words(client: TestClient) -> None:
    row = client.get("/api/traces", params={"q": "288.0"}).json()["rows"][0]
    assert (row["match"]["name"], row["match"]["where"]) == ("lookup_order", "output")
    assert '"paid": 288.0' in row["match"]["text"]
    assert client.get("/api/traces").json()["rows"][0]["match"] is None
