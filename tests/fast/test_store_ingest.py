"""Exactly once, whatever order, batch, repetition or death."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from journal_fixture import MS, T0, Writer, end, ids, line, start

from spanreel.errors import NewerStoreError, StoreError
from spanreel_exporters.duckdb import connection
from spanreel_exporters.duckdb.ingest import catch_up, ingest_once
from spanreel_exporters.duckdb.reader import DuckReader

TRACE, ROOT = ids(1)
CHILD = ids(2)[1]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "a store"
    folder.mkdir()
    return folder


def sql(store: Path, query: str) -> list[tuple[Any, ...]]:
    """As a plain DuckDB client sees the file."""
    with duckdb.connect(str(store / "traces.duckdb"), read_only=True) as con:
        return con.execute(query).fetchall()


def journal(store: Path) -> list[str]:
    return sorted(path.name for path in (store / "journal").iterdir())


def test_a_span_split_over_batches_becomes_one_row(store: Path) -> None:
    writer = Writer(store)
    writer.start(TRACE, ROOT, name="ask", given={"q": 1})
    assert ingest_once(store).spans == 0
    writer.patch(TRACE, ROOT, {"user.id": "ann"})
    assert ingest_once(store).spans == 0
    writer.end(TRACE, ROOT, output="fine", attributes={"session.id": "s"})
    assert ingest_once(store).spans == 1
    assert sql(
        store, "SELECT name, state, status, input, output, user_id, session_id, duration_ms FROM spans"
    ) == [("ask", "ended", "ok", '{"q":1}', '"fine"', "ann", "s", 5.0)]
    assert sql(store, "SELECT count(*) FROM open_span") == [(0,)]


def test_nothing_is_read_twice_and_dead_segments_go(store: Path) -> None:
    writer = Writer(store)
    writer.start(TRACE, ROOT)
    writer.end(TRACE, ROOT)
    writer.rotate()
    assert ingest_once(store).spans == 1
    assert len(journal(store)) == 2  # the owner and the open segment
    for _ in range(3):
        assert ingest_once(store).spans == 0
    writer.die()
    assert catch_up(store).caught_up
    assert journal(store) == []
    assert sql(store, "SELECT count(*) FROM spans") == [(1,)]
    ingest_once(store)
    Writer(store, "7-0badb007-00000007")
    ingest_once(store)
    assert len(sql(store, "SELECT * FROM segment_offset")) == 1


def test_the_same_records_again_are_dropped_and_counted(store: Path) -> None:
    for procid in ("1-0badb007-00000001", "2-0badb007-00000002"):
        writer = Writer(store, procid)
        writer.start(TRACE, ROOT)
        writer.end(TRACE, ROOT)
        writer.die()
        catch_up(store)
    assert sql(store, "SELECT count(*) FROM spans") == [(1,)]
    assert sql(store, "SELECT reason, count FROM losses") == [("duplicate_span", 1)]


def test_a_start_again_after_the_end_does_not_stay_open(store: Path) -> None:
    writer = Writer(store)
    writer.start(TRACE, ROOT)
    writer.end(TRACE, ROOT)
    ingest_once(store)
    writer.start(TRACE, ROOT)
    ingest_once(store)
    assert sql(store, "SELECT count(*) FROM open_span") == [(0,)]
    assert sql(store, "SELECT state FROM spans") == [("ended",)]


def test_an_end_without_a_start_is_a_row_at_once_and_a_loss_in_the_end(store: Path) -> None:
    writer = Writer(store)
    writer.end(TRACE, ROOT, output="x", at=T0 + 7)
    ingest_once(store)
    row = ("(start lost)", "span", T0 + 7, '"x"')
    with DuckReader(store) as reader:
        assert reader.connection.execute("SELECT name, kind, start_ns, output FROM spans").fetchall() == [row]
    writer.die()
    catch_up(store)
    assert sql(store, "SELECT name, kind, start_ns, output FROM spans") == [row]
    assert sql(store, "SELECT reason, count FROM losses") == [("start_missing", 1)]


def test_segments_may_be_filled_in_another_order_than_they_were_made(store: Path) -> None:
    """A spare that came late is written to after a segment of a higher number."""
    writer = Writer(store)
    writer.rotate()
    writer.start(TRACE, ROOT, name="n")
    number, used = writer.number, writer.used
    writer.number, writer.used = 1, 64
    writer.raw(b"process\t1\t" + orjson.dumps(writer.process) + b"\n")
    writer.end(TRACE, ROOT, output="x")
    writer.number, writer.used = number, used
    ingest_once(store, budget_bytes=100)
    catch_up(store)
    assert sql(store, "SELECT name, state, output FROM spans") == [("n", "ended", '"x"')]
    writer.die()
    catch_up(store)
    assert sql(store, "SELECT count(*) FROM losses") == [(0,)]


def test_spans_of_a_dead_process_are_interrupted_and_completed_by_a_late_end(store: Path) -> None:
    writer = Writer(store)
    writer.start(TRACE, ROOT, name="long", given="i")
    ingest_once(store)
    writer.die()
    catch_up(store)
    assert journal(store) == []
    assert sql(store, "SELECT name, state, status, duration_ms, input FROM spans") == [
        ("long", "interrupted", "unset", None, '"i"')
    ]
    child = Writer(store, "9-0badb007-00000009")  # forked while the span was open
    child.end(TRACE, ROOT, output="o", attributes={"a": 1})
    with DuckReader(store, catch_up=False) as reader:
        assert reader.traces().rows[0].state == "ended"
    child.die()
    catch_up(store)
    assert sql(store, "SELECT name, state, status, input, output, duration_ms FROM spans") == [
        ("long", "ended", "ok", '"i"', '"o"', 5.0)
    ]
    assert sql(store, "SELECT state, span_count FROM traces") == [("ended", 1)]
    assert sql(store, "SELECT count(*) FROM losses") == [(0,)]


def test_a_late_patch_is_merged_into_the_row(store: Path) -> None:
    writer = Writer(store)
    meta = {"protocol": "other", "method": "POST", "url": "https://x/y", "status": 200, "chunks": []}
    writer.start(TRACE, ROOT, kind="llm", given="i", attributes={"a": 1.50})
    writer.attempt(TRACE, ROOT, 0, meta, "ask", "answer")
    writer.end(
        TRACE, ROOT, output="o", first=T0 + MS,
        attributes={"spanreel.documents": [{"id": "d", "score": 0.5, "content": "c", "metadata": {"k": 1}}]},
    )  # fmt: skip
    ingest_once(store)
    before = sql(store, "SELECT * FROM span_wire")
    writer.patch(TRACE, ROOT, {"user.id": "bob", "gen_ai.usage.input_tokens": 5})
    ingest_once(store)
    assert sql(
        store, "SELECT user_id, input_tokens, input, output, ttft_ms, attributes->>'a' FROM spans"
    ) == [("bob", 5, '"i"', '"o"', 1.0, "1.5")]
    assert sql(store, "SELECT id, score, content, metadata FROM documents") == [("d", 0.5, "c", '{"k":1}')]
    assert [row[1:] for row in sql(store, "SELECT * FROM span_wire")] == [row[1:] for row in before]
    assert sql(store, "SELECT user_id, span_count, input_tokens FROM traces") == [("bob", 1, 5)]


def test_patches_of_another_process_find_their_span(store: Path) -> None:
    child = Writer(store, "1-0badb007-00000001")
    child.patch(TRACE, ROOT, {"user.id": "kid"})
    ingest_once(store)
    parent = Writer(store, "2-0badb007-00000002")
    parent.start(TRACE, ROOT)
    parent.end(TRACE, ROOT)
    ingest_once(store)
    assert sql(store, "SELECT user_id FROM spans") == [("kid",)]


def test_orphans_of_a_dead_process_are_counted_and_let_go(store: Path) -> None:
    writer = Writer(store)
    writer.patch(TRACE, ROOT, {"a": 1})
    ingest_once(store)
    assert sql(store, "SELECT count(*) FROM open_span") == [(1,)]
    writer.die()
    catch_up(store)
    assert sql(store, "SELECT count(*) FROM open_span") == [(0,)]
    assert sql(store, "SELECT reason, count FROM losses") == [("orphan_record", 1)]


def test_running_spans_outlive_their_segment(store: Path) -> None:
    writer = Writer(store)
    writer.start(TRACE, ROOT, name="daemon")
    writer.rotate()
    ingest_once(store)
    assert len(journal(store)) == 2
    with DuckReader(store) as reader:
        assert [(row.name, row.state) for row in reader.traces().rows] == [("daemon", "running")]


def test_losses_add_up_by_reason_process_and_service(store: Path) -> None:
    writer = Writer(store)
    for first, last, count in ((5, 6, 2), (1, 9, 3)):
        writer.line(
            "loss",
            1,
            {
                "reason": "disk_full",
                "count": count,
                "first_ns": first,
                "last_ns": last,
                "pid": 4,
                "service": "s",
            },
        )
        ingest_once(store)
    assert sql(store, "SELECT reason, pid, service, count, first_ns, last_ns FROM loss_row") == [
        ("disk_full", 4, "s", 5, 1, 9)
    ]


def test_scores_are_kept_and_the_latest_of_an_id_counts(store: Path) -> None:
    writer = Writer(store)
    score = {"score_id": "a", "trace_id": TRACE, "span_id": None, "name": "good", "value": 0, "label": None,
             "comment": None, "source": "human", "author": "me", "created_ns": T0}  # fmt: skip
    writer.line("score", 1, score)
    ingest_once(store)
    writer.line("score", 1, {**score, "value": 1, "comment": "on reflection"})
    writer.line("score", 1, {"score_id": "b"})
    ingest_once(store)
    assert sql(store, "SELECT score_id, value, comment FROM scores") == [("a", 1.0, "on reflection")]
    assert sql(store, "SELECT reason, count FROM losses") == [("garbage_record", 1)]


def test_garbage_costs_only_itself(store: Path) -> None:
    writer = Writer(store)
    writer.raw(b"\xff\xfe garbage\t\t\n")
    writer.start(TRACE, ROOT, attributes={"ok": True})
    writer.line("patch", 1, TRACE, ROOT, T0, b"{not json")
    writer.line("patch", 1, "nohex", ROOT, T0, b"{}")
    writer.line("attempt", 1, TRACE, ROOT, 0, b"x", b"y", b"z")
    writer.line("end", 1, TRACE, ROOT, T0 + 1, "ok", b"", b"", b"[]", b"oops")
    writer.raw(b"start\t1\ttorn")
    writer.die()
    catch_up(store)
    assert sql(store, "SELECT state, attributes FROM spans") == [("ended", '{"ok":true}')]
    assert dict(sql(store, "SELECT reason, count FROM losses")) == {
        "garbage_record": 2, "garbage_attributes": 2, "garbage_attempt": 1, "garbage_error": 1, "torn_record": 1,
    }  # fmt: skip


def test_a_journal_of_a_newer_spanreel_is_left_alone(store: Path) -> None:
    writer = Writer(store)
    path = writer.path
    path.write_bytes(b"spanreel-journal 2 sealed x".ljust(63) + b"\nwhatever\n")
    writer.die()
    report = ingest_once(store)
    assert not report.losses
    assert path.exists()
    with DuckReader(store) as reader:
        assert "newer spanreel" in reader.notices[0]


def test_a_newer_schema_is_refused_by_name_and_untouched(store: Path) -> None:
    Writer(store)
    ingest_once(store)
    with duckdb.connect(str(store / "traces.duckdb")) as con:
        con.execute("UPDATE meta SET schema_version = 99")
    Writer(store, "8-0badb007-00000008")
    for attempt in (lambda: ingest_once(store), lambda: DuckReader(store).__enter__()):
        with pytest.raises(
            NewerStoreError, match=r"traces\.duckdb has schema 99, this spanreel knows up to 3.*--store"
        ):
            attempt()
    assert len(journal(store)) == 4


def test_a_file_that_is_no_database_is_named(store: Path) -> None:
    Writer(store)
    (store / "traces.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match=r"traces\.duckdb cannot be opened"):
        ingest_once(store)


def test_a_foreign_client_is_named_and_nothing_is_lost(store: Path) -> None:
    writer = Writer(store)
    writer.start(TRACE, ROOT, name="one")
    writer.end(TRACE, ROOT)
    ingest_once(store)
    code = "import duckdb,sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(store / "traces.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as client:
        assert client.stdout is not None
        assert client.stdin is not None
        client.stdout.readline()
        trace, span = ids(3)
        writer.start(trace, span, name="two")
        writer.end(trace, span)
        report = ingest_once(store)
        assert (report.held_by, report.spans) == (client.pid, 0)
        assert str(client.pid) in (report.trouble or "")
        with DuckReader(store) as reader:
            assert [row.name for row in reader.traces().rows] == ["two", "one"] or [
                row.name for row in reader.traces().rows
            ] == ["one", "two"]
            assert any(str(client.pid) in notice for notice in reader.notices)
        client.stdin.write(b"\n")
        client.stdin.close()
    assert catch_up(store).spans == 1
    assert sql(store, "SELECT count(*) FROM spans") == [(2,)]


def test_a_client_in_this_very_process_is_named(store: Path) -> None:
    writer = Writer(store)
    ingest_once(store)
    writer.start(TRACE, ROOT)
    with duckdb.connect(str(store / "traces.duckdb"), read_only=True):
        report = ingest_once(store)
    assert report.held_by == os.getpid()
    assert ingest_once(store).caught_up


def test_only_one_ingests(store: Path) -> None:
    Writer(store)
    from spanreel_exporters.duckdb import locks

    with locks.exclusive(store):
        assert ingest_once(store).elected is False


def test_the_database_is_private(store: Path) -> None:
    Writer(store)
    ingest_once(store)
    for name in ("traces.duckdb", "ingest.lock"):
        assert stat.S_IMODE((store / name).stat().st_mode) == 0o600


def test_a_hold_is_bounded_by_bytes(store: Path) -> None:
    writer = Writer(store)
    for number in range(60):
        trace, span = ids(number)
        writer.start(trace, span, given="x" * 1000)
        writer.end(trace, span)
    report = ingest_once(store, budget_bytes=20_000)
    assert 0 < report.bytes_read < 25_000
    assert not report.caught_up
    assert catch_up(store).spans + report.spans == 60


def test_a_record_larger_than_the_budget_is_taken(store: Path) -> None:
    writer = Writer(store)
    writer.start(TRACE, ROOT, given="x" * 3_000_000)
    writer.end(TRACE, ROOT)
    for _ in range(4):
        ingest_once(store, budget_bytes=1000)
    assert sql(store, "SELECT length(input) FROM spans") == [(3_000_002,)]


def test_an_idle_journal_is_not_opened_again(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(store)
    writer.start(TRACE, ROOT)
    assert ingest_once(store).caught_up
    monkeypatch.setattr(
        connection, "attach", lambda *_a, **_k: pytest.fail("opened the database for nothing")
    )
    assert ingest_once(store).caught_up
    monkeypatch.undo()
    writer.end(TRACE, ROOT)
    assert ingest_once(store).spans == 1
    writer.die()
    assert ingest_once(store).segments_deleted == 1


def test_a_deleted_journal_or_store_is_no_catastrophe(store: Path) -> None:
    assert ingest_once(store).caught_up
    with pytest.raises(StoreError):
        ingest_once(store / "nowhere")
    with pytest.raises(StoreError, match="there is no store"):
        DuckReader(store / "nowhere").__enter__()


def test_a_journal_that_cannot_be_listed_forgets_no_offset(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(store)
    writer.line("loss", 1, {"reason": "r", "count": 1, "first_ns": 1, "last_ns": 1, "pid": 1, "service": ""})
    ingest_once(store)

    def refuse(_path: object) -> object:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refuse)
        with pytest.raises(StoreError, match="cannot be read"):
            ingest_once(store)
    ingest_once(store)
    assert sql(store, "SELECT count FROM losses") == [(1,)]


def test_an_erased_trace_does_not_come_back(store: Path) -> None:
    from spanreel_exporters.duckdb.tombstones import mark

    writer = Writer(store)
    ingest_once(store)
    with duckdb.connect(str(store / "traces.duckdb")) as con:
        con.execute("INSERT INTO tombstone VALUES ('trace', ?, 0)", [mark(TRACE)])
    writer.start(TRACE, ROOT)
    writer.end(TRACE, ROOT)
    other = ids(5)
    writer.start(*other)
    writer.end(*other)
    with DuckReader(store, catch_up=False) as reader:
        assert [row.trace_id for row in reader.traces().rows] == [other[0]]
    ingest_once(store)
    assert sql(store, "SELECT trace_id FROM spans") == [(other[0],)]


events = st.lists(
    st.tuples(
        st.integers(0, 1),  # process
        st.integers(1, 2),  # trace
        st.integers(1, 3),  # span
        st.sampled_from(["start", "end", "patch", "error", "llm"]),
        st.integers(0, 20),
    ),
    max_size=25,
)


def play(store: Path, script: list[tuple[int, int, int, str, int]], *, between: bool) -> None:
    writers = [Writer(store, f"{n + 1}-0badb007-0000000{n}") for n in range(2)]
    for who, trace_no, span_no, what, number in script:
        writer, trace, span = writers[who], ids(trace_no)[0], ids(span_no)[1]
        parent = ids(span_no - 1)[1] if span_no > 1 else ""
        at = T0 + number * MS
        if what == "start":
            writer.start(
                trace,
                span,
                parent,
                at=at,
                name=f"n{span_no}",
                given={"n": span_no},
                attributes={"session.id": "s"},
            )
        elif what == "llm":
            usage = {
                "gen_ai.usage.input_tokens": number,
                "gen_ai.request.model": "gpt-4o",
                "spanreel.cost_usd": 0.25,
            }
            writer.start(trace, span, parent, at=at, kind="llm", attributes=usage)
        elif what == "patch":
            writer.patch(trace, span, {f"k{number}": number})
        else:
            error = {"type": "E", "message": "bad"} if what == "error" else None
            writer.end(
                trace, span, at=at + 30 * MS, status="error" if error else "ok", error=error, output=span_no
            )
        if between:
            ingest_once(store)
    for writer in writers:
        writer.die()


def picture(store: Path, *, ingested: bool) -> dict[str, list[tuple[Any, ...]]]:
    with DuckReader(store, catch_up=ingested) as reader:
        con = reader.connection
        return {
            view: sorted(con.execute(f"SELECT * FROM {view}").fetchall(), key=repr)
            for view in ("spans", "traces", "documents", "scores")
        }


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=events)
@example(script=[(0, 1, 2, "start", 0), (0, 1, 3, "start", 0), (0, 1, 3, "end", 0)])
def test_tail_file_and_every_cut_between_show_the_same(
    script: list[tuple[int, int, int, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A reader of the journal alone, one ingest of everything, and an ingest after every record agree."""
    at_once, stepwise = (tmp_path_factory.mktemp(name) for name in ("once", "steps"))
    play(at_once, script, between=False)
    from_tail = picture(at_once, ingested=False)
    catch_up(at_once)
    assert picture(at_once, ingested=True) == from_tail
    play(stepwise, script, between=True)
    catch_up(stepwise)
    for relation in ("spans", "traces"):
        assert keys(picture(stepwise, ingested=True), relation) == keys(from_tail, relation)


def keys(found: dict[str, list[tuple[Any, ...]]], relation: str) -> list[tuple[Any, ...]]:
    return (
        [row[:2] for row in found[relation]] if relation == "spans" else [row[:1] for row in found[relation]]
    )


def test_trace_rows_are_what_a_look_at_all_spans_says(store: Path) -> None:
    writer = Writer(store)
    for number in range(1, 30):
        trace = ids(number % 4 + 1)[0]
        writer.start(
            trace,
            ids(number)[1],
            ids(number - 4)[1] if number > 4 else "",
            at=T0 + number * MS,
            kind="llm" if number % 3 else "tool",
        )
        writer.end(
            trace, ids(number)[1], at=T0 + number * 3 * MS, status="error" if number % 7 == 0 else "ok"
        )
        if number % 5 == 0:
            ingest_once(store)
    catch_up(store)
    assert sql(store, "SELECT trace_id, span_count, error_count, llm_calls FROM traces ORDER BY 1") == sql(
        store,
        "SELECT trace_id, count(*), count(*) FILTER (status = 'error'), count(*) FILTER (kind = 'llm') FROM spans GROUP BY 1 ORDER BY 1",
    )


@pytest.mark.crash
def test_killed_at_any_moment_nothing_is_lost_and_nothing_doubled(store: Path) -> None:
    """SIGKILL while ingesting, 20 times; what is left is finished by the next."""
    writers = [Writer(store, f"{n + 1}-0badb007-0000000{n}") for n in range(3)]
    total = 6000
    for index, writer in enumerate(writers):
        lines = []
        for number in range(index, total, 3):
            trace, span = ids(number // 5 + 1)[0], ids(number + 1)[1]
            lines += [
                start(trace, span, given="x" * 300, at=T0 + number),
                end(trace, span, output="y" * 300, at=T0 + number + 9),
            ]
        loss = line(
            "loss", 1, {"reason": "r", "count": 1, "first_ns": 1, "last_ns": 1, "pid": 1, "service": ""}
        )
        for position in range(0, len(lines), 400):
            writer.rotate(1 << 20)
            writer.raw(b"".join(lines[position : position + 400]) + loss)
        writer.die()
    code = (
        "import sys; from pathlib import Path; from spanreel_exporters.duckdb.ingest import ingest_once\n"
        "print('go', flush=True)\n"
        "while not ingest_once(Path(sys.argv[1]), budget_bytes=60_000, blocking=True).caught_up: pass"
    )
    kills = 0
    for round_ in range(20):
        with subprocess.Popen([sys.executable, "-c", code, str(store)], stdout=subprocess.PIPE) as ingester:
            assert ingester.stdout is not None
            ingester.stdout.readline()
            time.sleep(0.06 + 0.013 * (round_ % 7))
            kills += ingester.poll() is None
            ingester.kill()
    assert kills >= 5
    assert catch_up(store).caught_up
    assert sql(store, "SELECT count(*), count(DISTINCT span_id) FROM spans") == [(total, total)]
    assert sql(store, "SELECT sum(span_count), count(*) FROM traces") == [(total, total // 5)]
    assert sql(store, "SELECT reason, count FROM losses") == [("r", 3 * 10)]
    assert journal(store) == []


def test_the_state_of_a_span_comes_from_its_end(store: Path) -> None:
    writer = Writer(store)
    writer.start(TRACE, ROOT, name="early", kind="chain", given=1)
    writer.end(
        TRACE, ROOT, error={"type": "ValueError", "message": "no", "stacktrace": "Traceback"}, status="error",
        attributes={"spanreel.name": "late", "spanreel.kind": "tool", "spanreel.input": [2], "spanreel.state": "abandoned"},
    )  # fmt: skip
    ingest_once(store)
    assert sql(
        store, "SELECT name, kind, input, state, error_type, error_message, attributes FROM spans"
    ) == [("late", "tool", "[2]", "abandoned", "ValueError", "no", '{"exception.stacktrace":"Traceback"}')]


def test_numbers_and_key_order_stay_as_received(store: Path) -> None:
    writer = Writer(store)
    text = b'{"z":1.0,"a":123456789012345678901234567890,"m":1e5}'
    writer.line("start", 1, TRACE, ROOT, "", "", T0, "tool", orjson.dumps("n"), b"", text)
    writer.line("end", 1, TRACE, ROOT, T0 + 1, "ok", b"", b"", b'{"b":2.50}', b"")
    ingest_once(store)
    assert sql(store, "SELECT attributes FROM spans") == [(text[:-1].decode() + ',"b":2.50}',)]
    assert sql(store, "SELECT attributes->>'m' FROM spans")[0][0] in {"1e5", "100000.0"}
