"""The real recorder into the real store: nothing of what programs acknowledged is missing or double."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from spanreel_exporters.duckdb.ingest import catch_up, ingest_once
from spanreel_exporters.duckdb.reader import DuckReader

PROGRAM = """
import os, sys
import spanreel

@spanreel.trace.retrieval
def search(query: str) -> list[dict]:
    return [{"id": "d1", "score": 0.9, "content": "about " + query}]

@spanreel.trace.tool
def lookup(number: int) -> dict:
    return {"number": number, "padding": "x" * 300}

@spanreel.trace
def answer(question: str) -> str:
    with spanreel.session("s1", user="ann"):
        search(question)
    with spanreel.span("model", kind="llm") as span:
        span.set_model("gpt-4o", provider="openai").set_usage(input_tokens=100, output_tokens=10)
    lookup(len(question))
    return question.upper()
"""


def run(store: Path, body: str, *, stdin: int | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "SPANREEL_STORE": str(store), "SPANREEL_KEEPER": "off"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + body],
        env=environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_program_is_read_back_while_it_runs_and_after(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with run(
        store,
        "answer('why'); s = spanreel.span('open'); s.__enter__(); print('ready', flush=True); input()",
        stdin=subprocess.PIPE,
    ) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        assert program.stdout.readline() == "ready\n"
        with DuckReader(store, catch_up=False) as reader:
            assert {(row.name, row.state) for row in reader.traces().rows} == {
                ("answer", "ended"),
                ("open", "running"),
            }
            trace = reader.trace(reader.resolve("last:answer"))
            assert sorted((span.name, span.kind) for span in trace.spans) == [
                ("answer", "chain"), ("lookup", "tool"), ("model", "llm"), ("search", "retrieval"),
            ]  # fmt: skip
            found = next(span for span in trace.spans if span.kind == "retrieval")
            assert [d.content for d in reader.span(found.trace_id, found.span_id).documents] == ["about why"]
            assert (found.session_id, found.user_id) == ("s1", "ann")
            assert trace.row.cost_usd == pytest.approx(0.00035)
            assert (trace.row.input_preview, trace.row.output_preview) == ("why", "WHY")
        program.kill()
    os.utime(next((store / "journal").glob("*.owner")), (1, 1))  # past the grace of a writer that only begins
    assert catch_up(store).spans >= 1
    with DuckReader(store) as reader:
        assert {(row.name, row.state) for row in reader.traces().rows} == {
            ("answer", "ended"),
            ("open", "interrupted"),
        }
        assert reader.losses() == []
    assert list((store / "journal").iterdir()) == []


@pytest.mark.crash
def test_four_killed_writers_and_a_busy_ingester_lose_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    body = """
for number in range(100_000):
    answer(str(number))
    if number % 50 == 49:
        print(number + 1, flush=True)
"""
    stop = threading.Event()

    def ingest() -> None:
        while not stop.is_set():
            if store.is_dir():
                ingest_once(store, budget_bytes=300_000, blocking=True)
            stop.wait(0.02)

    ingester = threading.Thread(target=ingest)
    ingester.start()
    programs = [run(store, body) for _ in range(4)]
    acknowledged = 0
    for index, program in enumerate(programs):
        assert program.stdout is not None
        told = [int(program.stdout.readline()) for _ in range(4 + index)][-1]
        program.send_signal(signal.SIGKILL)
        told = max([told, *(int(rest) for rest in program.stdout.read().split() if rest)])
        program.wait()
        program.stdout.close()
        acknowledged += told
    stop.set()
    ingester.join()
    for owner in (store / "journal").glob("*.owner"):
        os.utime(owner, (1, 1))
    assert catch_up(store, 60).caught_up
    with DuckReader(store) as reader:
        counts = reader.connection.execute(
            "SELECT count(*) FILTER (name = 'answer' AND state = 'ended'), count(*), count(DISTINCT (trace_id, span_id)), "
            "count(*) FILTER (state = 'interrupted') FROM spans"
        ).fetchall()[0]
        assert acknowledged <= counts[0] <= acknowledged + 4 * 51
        assert counts[1] == counts[2]
        assert counts[3] <= 4 * 2
        assert [loss for loss in reader.losses() if loss.reason != "torn_record"] == []
    assert list((store / "journal").iterdir()) == []
