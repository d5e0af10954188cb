"""`spanreel demo` from end to end: recorded by a process of its own, read back through the public SQL."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import spanreel
from spanreel_demo import day, responder, run
from spanreel_demo.model_server import ModelServer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sdk

SETTINGS = ("OPENAI_", "SPANREEL_", "OTEL_")


def demo(*arguments: str, start: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo as its command does; `start` is code that runs before it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    code = f"{start}\nfrom spanreel_demo.run import main\nraise SystemExit(main({list(arguments)!r}))"
    return subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code],
        env={**clean, "SPANREEL_KEEPER": "off", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "a store"
    done = demo("--no-view", "--pace", "0", "--store", str(path))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"{day.TRACES} traces in {path}" in done.stdout
    assert len(done.stdout.splitlines()) < 12
    assert "failed" not in done.stdout
    return path


@pytest.fixture
def rows(store: Path) -> Any:
    return lambda query, *values: [dict(row) for row in spanreel.sql(query, list(values), store=store)]


def test_the_day_leaves_its_traces(rows: Any) -> None:
    traces = rows("SELECT * FROM traces")
    assert len(traces) == day.TRACES >= 12
    assert {trace["service"] for trace in traces} == {run.SERVICE}
    assert {"support desk", "research", "sort the inbox", "judge", "weekly report"} <= {
        t["name"] for t in traces
    }
    assert sum(trace["state"] == "interrupted" for trace in traces) == 1
    assert {trace["state"] for trace in traces} == {"ended", "interrupted"}


def test_nothing_is_lost_on_the_way(rows: Any) -> None:
    assert rows("SELECT * FROM losses") == []
    assert rows("SELECT * FROM spans WHERE state = 'running'") == []


def test_two_sessions_have_three_turns_each(rows: Any) -> None:
    found = rows(
        "SELECT session_id, any_value(user_id) AS customer, count(*) AS turns FROM traces"
        " WHERE session_id IS NOT NULL GROUP BY session_id ORDER BY session_id"
    )
    assert [(session["customer"], session["turns"]) for session in found] == [
        ("Jonas Weber", 3),
        ("Mira Kovač", 3),
    ]
    tagged = rows("SELECT DISTINCT tags FROM spans WHERE session_id IS NOT NULL")
    assert [row["tags"] for row in tagged] == [["chat"]]


def test_every_kind_of_span_is_there(rows: Any) -> None:
    kinds = {row["kind"] for row in rows("SELECT DISTINCT kind FROM spans")}
    assert {
        "llm",
        "embedding",
        "retrieval",
        "rerank",
        "tool",
        "agent",
        "chain",
        "guardrail",
        "evaluator",
    } <= kinds


def test_errors_are_kept_with_their_kind(rows: Any) -> None:
    errors = {
        (row["kind"], row["error_type"].rpartition(".")[2])
        for row in rows("SELECT kind, error_type FROM spans WHERE status = 'error'")
    }
    assert {
        ("tool", "RefundError"),
        ("tool", "CarrierError"),
        ("tool", "TypeError"),
        ("guardrail", "ValueError"),
    } <= errors
    assert {("agent", "TypeError"), ("agent", "APITimeoutError"), ("chain", "BadRequestError")} <= errors
    broken = rows("SELECT error_message FROM spans WHERE status = 'error' AND kind = 'llm'")
    assert any("maximum context length is 8192 tokens" in (row["error_message"] or "") for row in broken)


def test_handled_errors_leave_their_traces_in_order(rows: Any) -> None:
    (refused,) = rows("SELECT trace_id FROM spans WHERE error_type LIKE '%RefundError'")
    (trace,) = rows("SELECT * FROM traces WHERE trace_id = ?", refused["trace_id"])
    assert trace["status"] == "ok"
    assert trace["error_count"] >= 1
    assert "30 days" in trace["output"]


def test_retries_are_seen_with_what_they_repeat(rows: Any) -> None:
    retries = rows(
        "SELECT second.status, second.attributes->>'spanreel.retry_count' AS retry, first.error_type AS before"
        " FROM spans AS second JOIN spans AS first ON first.span_id = second.attributes->>'spanreel.retry_of'"
        " ORDER BY second.start_ns"
    )
    assert [(row["before"], row["retry"], row["status"]) for row in retries] == [
        ("429", "1", "ok"),
        ("500", "1", "error"),
        ("500", "2", "error"),
    ]


def test_tokens_and_costs_are_there(rows: Any) -> None:
    calls = rows(
        "SELECT * FROM spans WHERE kind IN ('llm', 'embedding') AND status = 'ok' AND state = 'ended'"
    )
    assert len(calls) > 40
    whole = [call for call in calls if call["finish_reason"] or call["kind"] == "embedding"]
    assert all(call["input_tokens"] > 0 for call in whole)
    assert all(call["cost_usd"] > 0 for call in whole)
    assert any(call["cache_read_tokens"] for call in whole)
    assert any(call["reasoning_tokens"] for call in whole)
    assert {"gpt-4o-mini", "gpt-4.1-mini", "o4-mini"} <= {call["request_model"] for call in calls}
    assert any(call["finish_reason"] == "length" for call in calls)
    assert any(call["ttft_ms"] is not None for call in calls)
    assert {"plan", "support-desk", "billing", "judge"} <= {call["prompt_name"] for call in calls}


def test_documents_are_kept_in_order_with_their_scores(rows: Any) -> None:
    found = rows("SELECT * FROM documents ORDER BY span_id, rank")
    assert len(found) > 100
    assert all(document["id"].startswith(("policies/", "guides/")) for document in found)
    assert all(document["score"] > 0 and document["content"] for document in found)


def test_the_made_up_fact_is_scored(rows: Any) -> None:
    (verdict,) = rows("SELECT * FROM scores WHERE name = 'supported'")
    assert verdict["source"] == "judge"
    assert verdict["value"] < 1
    assert verdict["comment"] == responder.MADE_UP
    (trace,) = rows("SELECT output FROM traces WHERE trace_id = ?", verdict["trace_id"])
    assert responder.MADE_UP in trace["output"]
    assert [
        row["value"] for row in rows("SELECT value FROM scores WHERE name = 'helpful' ORDER BY value")
    ] == [0, 1]


def test_more_than_ascii_survives(rows: Any) -> None:
    (trace,) = rows("SELECT input, output FROM traces WHERE input LIKE '%Grüße aus Zürich 🚲%'")
    assert "👋" in trace["output"]
    assert "blinks 3×" in trace["output"]


def test_the_killed_process_is_shown_up_to_its_last_word(rows: Any) -> None:
    open_spans = rows("SELECT kind, state FROM spans WHERE state = 'interrupted' ORDER BY kind")
    assert [span["kind"] for span in open_spans] == ["agent", "chain", "llm"]


def test_a_second_run_reuses_the_recording(store: Path) -> None:
    done = demo("--no-view", "--store", str(store))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"The demo is recorded already: {day.TRACES} traces")
    assert f'spanreel view --store "{store}"' in done.stdout


def test_another_server_is_used_when_the_environment_names_it(tmp_path: Path) -> None:
    with ModelServer(pace=0) as server:
        done = demo(
            "--no-view",
            *("--store", str(tmp_path / "store")),
            OPENAI_BASE_URL=server.base_url,
            OPENAI_MODEL="gpt-4.1-mini",
            NO_PROXY="127.0.0.1",
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"gpt-4.1-mini at {server.base_url}" in done.stdout
    spoken = spanreel.sql(
        "SELECT DISTINCT request_model FROM spans WHERE kind = 'llm'", store=tmp_path / "store"
    )
    assert [row["request_model"] for row in spoken] == ["gpt-4.1-mini"]


def test_again_adds_a_day_and_offline_ignores_the_key(tmp_path: Path) -> None:
    for expected in (day.TRACES, 2 * day.TRACES):
        done = demo(
            "--no-view",
            "--again",
            "--offline",
            "--pace",
            "0",
            "--store",
            str(tmp_path / "s"),
            OPENAI_API_KEY="sk-none",
        )
        assert f"{expected} traces in" in done.stdout


def test_a_server_that_does_not_answer_is_said_in_a_line(tmp_path: Path) -> None:
    done = demo(
        "--no-view", "--store", str(tmp_path / "s"), OPENAI_BASE_URL="http://127.0.0.1:9/v1", NO_PROXY="*"
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "does not answer" in done.stdout.splitlines()[-1]
    assert "--offline" in done.stdout.splitlines()[-1]


def test_recording_switched_off_is_said(tmp_path: Path) -> None:
    done = demo("--no-view", "--pace", "0", "--store", str(tmp_path / "s"), SPANREEL_DISABLED="1")
    assert (done.returncode, done.stderr) == (1, "")
    assert "SPANREEL_DISABLED" in done.stdout


def test_a_missing_viewer_is_said_with_the_way_to_get_it(store: Path) -> None:
    done = demo("--store", str(store), start="import sys; sys.modules['streamlit'] = None")
    assert (done.returncode, done.stderr) == (1, "")
    assert "pip install 'spanreel[viewer]'" in done.stdout


def test_the_demo_keeps_to_a_store_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("SPANREEL_STORE", str(tmp_path / "project"))
    assert run.demo_store().name == "spanreel-demo"
    if sys.platform != "darwin":
        assert run.demo_store().parent == tmp_path


def test_a_taken_port_is_said_in_a_line(store: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = demo("--store", str(store), "--no-browser", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1].startswith("Cannot listen on 127.0.0.1:")
