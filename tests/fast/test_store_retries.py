"""Attempts of one call: each has its row, the call counts once, whichever ingest they came in."""

from __future__ import annotations

import pytest
from recording import Recording

import spanreel
from spanreel import recorder as recorders
from spanreel_exporters.duckdb.ingest import catch_up
from spanreel_exporters.duckdb.reader import DuckReader

REQUEST = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}]}'
ANSWER = b'{"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"Ho"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}'


def _attempt(number: int, before: str | None, *, fails: bool) -> str:
    attributes = {"spanreel.protocol": "openai.chat", "gen_ai.request.model": "gpt-4o-mini"}
    if before is not None:
        attributes |= {"spanreel.retry_of": before, "spanreel.retry_count": number}  # type: ignore[dict-item]
    span = recorders.start("chat gpt-4o-mini", "llm", attributes=attributes)
    meta = {"protocol": "openai.chat", "status": 429 if fails else 200}
    span.record_attempt(number, meta, REQUEST, b'{"error":{"message":"slow down"}}' if fails else ANSWER)
    if fails:
        span.finish(error_type="429", error_message="slow down")
    else:
        span.finish(status="ok")
    return span.span_id


@pytest.mark.parametrize("between", [False, True], ids=["one ingest", "an ingest after each"])
def test_a_retried_call_counts_once(recording: Recording, between: bool) -> None:
    with spanreel.span("run"):
        before = None
        for number in range(3):
            before = _attempt(number, before, fails=number < 2)
            if between:
                catch_up(recording.store)
    catch_up(recording.store)
    rows = spanreel.sql(
        "SELECT span_id, status, attempts, duplicate_of, cost_usd FROM spans WHERE kind = 'llm' ORDER BY start_ns",
        store=recording.store,
    )
    ids = [row["span_id"] for row in rows]
    assert [row["duplicate_of"] for row in rows] == [ids[1], ids[2], None]
    assert [row["attempts"] for row in rows] == [1, 2, 3]
    assert rows[2]["cost_usd"] > 0
    with DuckReader(recording.store) as reader:
        (trace,) = reader.traces().rows
    assert (trace.llm_calls, trace.error_count, trace.span_count) == (1, 0, 4)


def test_retries_that_never_succeed_are_one_failure(recording: Recording) -> None:
    with spanreel.span("run"):
        first = _attempt(0, None, fails=True)
        _attempt(1, first, fails=True)
    catch_up(recording.store)
    with DuckReader(recording.store) as reader:
        (trace,) = reader.traces().rows
    assert (trace.llm_calls, trace.error_count) == (1, 1)
