"""What a reader answers: lists, filters, one trace, one span, names, search, locked-down SQL."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_fixture import MS, T0, Writer, ids

from spanreel.errors import OlderStoreError, QueryError, StoreError
from spanreel_exporters.duckdb import connection
from spanreel_exporters.duckdb.changes import changes
from spanreel_exporters.duckdb.ingest import catch_up, ingest_once
from spanreel_exporters.duckdb.preview import LIMIT, preview
from spanreel_exporters.duckdb.queries import migrations, schema_sql, sql
from spanreel_exporters.duckdb.reader import DuckReader, locked_down, user_connection

S = 1_000_000_000


@pytest.fixture(params=["tail", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Three traces: one that went well, one that failed, one of a foreign tracer; in the journal or taken in."""
    folder = tmp_path / "store"
    folder.mkdir()
    writer = Writer(folder, service="desk", environment="prod", release="1.2")
    well, failed, foreign = (ids(n)[0] for n in (0xA1, 0xA2, 0xB1))
    writer.start(
        well,
        ids(1)[1],
        name="ask",
        given={"question": "Where is my order?"},
        at=T0,
        attributes={"session.id": "s1", "user.id": "ann", "spanreel.tags": ["vip"]},
    )
    writer.start(
        well, ids(2)[1], ids(1)[1], kind="llm", name="chat gpt-4o", at=T0 + MS, given=[{"role": "user"}]
    )
    usage = {
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.provider.name": "openai",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 100,
    }
    writer.end(well, ids(2)[1], at=T0 + 101 * MS, first=T0 + 51 * MS, output="On its way", attributes=usage)
    writer.start(well, ids(3)[1], ids(1)[1], kind="llm", name="chat house-model", at=T0 + 2 * MS)
    writer.end(
        well,
        ids(3)[1],
        attributes={
            "gen_ai.request.model": "house-model",
            "gen_ai.usage.input_tokens": 5,
            "gen_ai.usage.output_tokens": 5,
        },
    )
    writer.end(well, ids(1)[1], at=T0 + 200 * MS, output="It is on its way, Ann.")
    writer.start(failed, ids(4)[1], name="ask", given={"question": "Why?"}, at=T0 + S)
    writer.start(failed, ids(5)[1], ids(4)[1], kind="tool", name="lookup", at=T0 + S + MS)
    writer.end(
        failed,
        ids(5)[1],
        at=T0 + S + 2 * MS,
        status="error",
        error={"type": "KeyError", "message": "no such order"},
    )
    writer.end(failed, ids(4)[1], at=T0 + S + 9 * MS, output="Sorry, that failed.")
    writer.start(foreign, ids(6)[1], "f" * 16, flags="f", name="handler", at=T0 + 2 * S)
    writer.end(foreign, ids(6)[1], at=T0 + 2 * S + MS)
    writer.start(foreign, ids(7)[1], ids(0xEE)[1], kind="tool", name="stray", at=T0 + 2 * S)
    writer.end(foreign, ids(7)[1], at=T0 + 2 * S + MS)
    if request.param == "file":
        catch_up(folder)
    return folder


def read(store: Path) -> DuckReader:
    return DuckReader(store, catch_up=False)


def test_the_list_is_newest_first_with_what_a_line_needs(store: Path) -> None:
    with read(store) as reader:
        page = reader.traces()
    assert [row.name for row in page.rows] == ["handler", "ask", "ask"]
    assert (page.total, page.total_is_exact) == (3, True)
    well, failed, foreign = page.rows[2], page.rows[1], page.rows[0]
    assert (well.input_preview, well.output_preview) == ("Where is my order?", "It is on its way, Ann.")
    assert (well.span_count, well.llm_calls, well.input_tokens, well.output_tokens) == (3, 2, 1005, 105)
    assert (well.models, well.kinds, well.tags) == (["gpt-4o", "house-model"], ["chain", "llm"], ["vip"])
    assert well.cost_usd == pytest.approx(1000 * 2.5e-6 + 100 * 1e-5)
    assert (well.unpriced_calls, well.duration_ms, well.status) == (1, 200.0, "ok")
    assert (well.service, well.environment, well.release, well.session_id, well.user_id) == (
        "desk",
        "prod",
        "1.2",
        "s1",
        "ann",
    )
    assert (failed.error_count, failed.error_type, failed.error_message, failed.error_span_id) == (
        1, "KeyError", "no such order", ids(5)[1],
    )  # fmt: skip
    assert (failed.status, failed.cost_usd) == ("ok", None)
    assert (foreign.root_span_id, foreign.state) == (ids(6)[1], "ended")


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"errors": True}, ["ask"]),
        ({"errors": False}, ["handler", "ask"]),
        ({"status": "error"}, []),
        ({"model": "house-model"}, ["ask"]),
        ({"kind": "tool"}, ["handler", "ask"]),
        ({"name": "handler"}, ["handler"]),
        ({"session": "s1"}, ["ask"]),
        ({"user": "ann", "service": "desk"}, ["ask"]),
        ({"since_ns": T0 + 1}, ["handler", "ask"]),
        ({"until_ns": T0 + S}, ["ask"]),
        ({"state": "running"}, []),
        ({"text": "ORDER"}, ["ask", "ask"]),
        ({"text": "On its way"}, ["ask"]),
        ({"text": "nothing like it"}, []),
        ({"text": ids(0xB1)[0]}, ["handler"]),
        ({"text": "order", "errors": True}, ["ask"]),
        ({"text": "%' OR 1=1 --"}, []),
    ],
)
def test_filters(store: Path, filters: dict[str, object], names: list[str]) -> None:
    with read(store) as reader:
        page = reader.traces(**filters)  # type: ignore[arg-type]
        assert [row.name for row in page.rows] == names
        assert page.total == len(names)


def test_pages(store: Path) -> None:
    with read(store) as reader:
        assert [row.name for row in reader.traces(limit=1, offset=1).rows] == ["ask"]
        assert reader.traces(limit=1, offset=1).total == 3
        assert reader.traces(limit=5, offset=3).rows == []


def test_facets_count_traces(store: Path) -> None:
    with read(store) as reader:
        facets = reader.facets()
    assert [(f.value, f.count) for f in facets.names] == [("ask", 2), ("handler", 1)]
    assert [(f.value, f.count) for f in facets.kinds] == [("chain", 3), ("tool", 2), ("llm", 1)]
    assert [f.value for f in facets.models] == ["gpt-4o", "house-model"]
    assert [f.value for f in facets.sessions] == ["s1"]


def test_one_trace(store: Path) -> None:
    with read(store) as reader:
        trace = reader.trace(ids(0xA1)[0])
        assert [span.name for span in trace.spans] == ["ask", "chat gpt-4o", "chat house-model"]
        call = trace.spans[1]
        assert (call.ttft_ms, call.output_tokens_per_s, call.duration_ms) == (50.0, 1980.0, 100.0)
        assert call.cost_source is not None
        assert call.cost_source.startswith("book:genai-prices ")
        assert trace.spans[2].cost_source == "unpriced"
        assert trace.row.span_count == 3
        with pytest.raises(QueryError, match="there is no trace 'nope'"):
            reader.trace("nope")


def test_one_span(store: Path) -> None:
    with read(store) as reader:
        detail = reader.span(ids(0xA1)[0], ids(2)[1])
        assert (detail.input, detail.output, detail.dialect) == (
            '[{"role":"user"}]',
            '"On its way"',
            "spanreel",
        )
        assert orjson.loads(detail.attributes)["gen_ai.request.model"] == "gpt-4o"
        assert (detail.wire, detail.documents) == ([], [])
        with pytest.raises(QueryError, match="there is no span"):
            reader.span(ids(0xA1)[0], "nope")


def test_names_of_traces(store: Path) -> None:
    with read(store) as reader:
        well, failed, foreign = (ids(n)[0] for n in (0xA1, 0xA2, 0xB1))
        assert reader.resolve("last") == foreign
        assert reader.resolve("last~2") == well
        assert reader.resolve("last:ask") == failed
        assert reader.resolve("last:ask~1") == well
        assert reader.resolve(well.upper()) == well
        with pytest.raises(QueryError, match="beginning of several"):
            reader.resolve("0")
        for name in ("last:nobody", "last~9", "f", "not hex", ""):
            with pytest.raises(QueryError):
                reader.resolve(name)


def test_search_shows_where(store: Path) -> None:
    with read(store) as reader:
        hits = reader.search("my order")
        assert [(hit.name, hit.where, hit.snippet) for hit in hits.rows] == [
            ("ask", "input", '{"question":"Where is my order?"}')
        ]
        assert hits.complete
        assert [hit.span_id for hit in reader.search("way", limit=1).rows] == [ids(2)[1]]
        assert reader.search("").rows == []
        assert reader.search('"question"').rows == []  # quotes stand escaped inside JSON text


def test_summary(store: Path) -> None:
    with read(store) as reader:
        summary = reader.summary()
    assert (summary.spans, summary.traces, summary.llm_calls, summary.error_spans) == (7, 3, 2, 1)
    assert (summary.oldest_ns, summary.newest_ns, summary.writers, summary.missing_bytes) == (
        T0,
        T0 + 2 * S,
        1,
        0,
    )
    assert summary.journal_bytes > 0


def test_public_views_hold_table_and_tail(store: Path) -> None:
    writer = Writer(store, "5-0badb007-00000005")
    writer.start(*ids(0xC1), name="running")
    with read(store) as reader:
        rows = reader.connection.execute("SELECT name, state FROM spans ORDER BY start_ns, name").fetchall()
        assert ("running", "running") in rows
        assert len(rows) == 8
        assert reader.summary().open_spans == 1
    writer.die()
    with read(store) as reader:
        assert reader.trace(ids(0xC1)[0]).row.state == "interrupted"


def test_user_sql_can_read_and_nothing_else(store: Path, tmp_path: Path) -> None:
    with user_connection(store) as con:
        assert con.execute("SELECT count(*) FROM spans WHERE kind = $kind", {"kind": "llm"}).fetchall() == [
            (2,)
        ]
        for refused in (
            f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
            "SELECT * FROM read_text('/etc/hostname')",
            f"ATTACH '{tmp_path / 'x.duckdb'}'",
            "SET memory_limit = '8GB'",
            "INSTALL httpfs",
            "INSERT INTO store.span_row SELECT * FROM store.span_row",
        ):
            with pytest.raises(duckdb.Error):
                con.execute(refused)
    with DuckReader(store) as reader:  # the locked connection was not kept for this one
        assert reader.connection.execute("SELECT current_setting('lock_configuration')").fetchall() == [
            (False,)
        ]
        locked_down(reader)


def test_a_closed_or_inherited_reader_says_so(store: Path) -> None:
    reader = read(store)
    with reader:
        child = os.fork()
        if child == 0:
            try:
                reader.traces()
            except StoreError as error:
                os._exit(7 if "fork" in str(error) else 8)
            os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert reader.traces().total == 3
    with pytest.raises(StoreError, match="closed"):
        reader.traces()


def test_a_question_that_takes_too_long_is_stopped_in_our_words(store: Path) -> None:
    from spanreel_exporters.duckdb.connection import explained_reading

    with read(store) as reader:
        assert (
            reader.connection.execute("SELECT current_setting('max_execution_time')").fetchall()[0][0]
            == 10_000
        )
        with pytest.raises(QueryError, match="took longer than 10 s"), explained_reading(store):
            raise duckdb.InterruptException("INTERRUPT Error")
        with (
            pytest.raises(StoreError, match=r"traces\.duckdb cannot be read: Catalog Error"),
            explained_reading(store),
        ):
            reader.connection.execute("SELECT * FROM nothing")
        assert reader.traces().total == 3


def test_readers_side_by_side(store: Path) -> None:
    with read(store) as one, read(store) as other:
        assert one.traces().total == other.traces().total == 3
    with read(store) as again:
        assert again.traces().total == 3


def test_a_tail_that_is_too_long_is_said(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    for number in range(1, 200):
        writer.start(*ids(number), given="x" * 2000)
        writer.end(*ids(number))
    with DuckReader(tmp_path, catch_up=False, tail_bytes=100_000) as reader:
        page = reader.traces()
        assert 0 < page.total < 199
        assert not page.total_is_exact
        assert page.missing_bytes > 200_000
        assert "not taken in yet" in reader.notices[0]


def test_a_store_of_an_older_schema_is_migrated_by_whoever_reads_it(tmp_path: Path) -> None:
    number, first = migrations()[0]
    Writer(tmp_path).die()
    with connection.writer(tmp_path) as con:
        con.execute("USE store")
        con.execute(schema_sql(first))
        con.execute(sql("write_schema_version"), {"version": number})
        con.execute("USE memory")
    for left in (tmp_path / "journal").iterdir():
        left.unlink()
    with pytest.raises(OlderStoreError, match=r"has schema 1, .*spanreel list.*migrates it"):
        DuckReader(tmp_path, catch_up=False).__enter__()
    with DuckReader(tmp_path) as reader:
        assert reader.traces().rows == []
    with DuckReader(tmp_path, catch_up=False) as reader:
        assert reader.notices == []


def test_a_store_that_cannot_be_written_is_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(tmp_path)
    writer.start(*ids(1))
    ingest_once(tmp_path)
    writer.end(*ids(1), output="late")
    monkeypatch.setattr("spanreel_exporters.duckdb.reader.ingest_once", _refuse)
    with DuckReader(tmp_path) as reader:
        assert reader.traces().rows[0].output_preview == "late"
        assert reader.notices == ["read-only"]


def _refuse(*_args: object, **_kwargs: object) -> None:
    raise StoreError("read-only")


def test_changes_tell_of_records_ingests_and_deaths(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    seen = [changes(tmp_path)]

    def changed() -> bool:
        seen.append(changes(tmp_path))
        return seen[-1] != seen[-2]

    assert not changed()
    writer.start(*ids(1))
    assert changed()
    assert not changed()
    ingest_once(tmp_path)
    assert changed()
    assert not changed()
    writer.die()
    assert changed()
    assert not changed()


def test_wire_bytes_come_back_as_recorded(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    trace, span = ids(1)
    chunks = [[0, 5], [10, 9]]
    writer.start(trace, span, kind="llm", attributes={"spanreel.protocol": "none.such"})
    writer.attempt(trace, span, 0, {"status": 500, "chunks": []}, '{"a":"ü\\n"}', "no")
    writer.attempt(trace, span, 1, {"status": 200, "chunks": chunks, "encoding": "base64"}, "AP8=", "/wA=")
    writer.end(trace, span)
    for ingested in (False, True):
        with DuckReader(tmp_path, catch_up=ingested) as reader:
            first, second = reader.wire(trace, span)
            assert (first.request, first.response, first.meta["status"]) == (
                '{"a":"ü\\n"}'.encode(),
                b"no",
                500,
            )
            assert (second.request, second.response, second.meta["chunks"]) == (
                b"\x00\xff",
                b"\xff\x00",
                chunks,
            )
            detail = reader.span(trace, span)
            assert [(w.attempt, w.encoding) for w in detail.wire] == [(0, "utf-8"), (1, "base64")]
            assert detail.row.attempts == 2


def message(role: str, *parts: dict[str, object]) -> dict[str, object]:
    return {"role": role, "parts": list(parts)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ({"question": "why?"}, "why?"),
        ({"args": [1]}, "1"),
        (
            [
                message("user", {"type": "text", "content": "hi"}),
                message("user", {"type": "text", "content": "there"}),
            ],
            "there",
        ),
        ([message("assistant", {"type": "tool_call", "name": "f", "arguments": {"x": 1}})], 'f({"x":1})'),
        (
            [message("assistant", {"type": "embedding", "count": 2, "dimension": 4})],
            "2 vectors of 4 dimensions",
        ),
        ([{"role": "user", "content": "openai"}], "openai"),
        ("a\n\n  b", "a b"),
        (None, None),
        ({"a": 1, "b": 2}, '{"a":1,"b":2}'),
        (7, "7"),
        (True, "true"),
        ({}, ""),
        ([], ""),
        ({"qs": ["a", "b", "c"]}, "a, b, c"),
        ({"weights": [1, 2.5, 3]}, "1, 2.5, 3"),
        ({"x": 1}, "1"),
    ],
)
def test_previews(value: object, expected: str | None) -> None:
    assert preview(orjson.dumps(value).decode(), last=True) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"x": 1}, '{"x":1}'),
        ({"answer": 1}, "1"),
        ({"topic": "cats"}, "cats"),
        ({"found": [{"id": 1}]}, '{"found":[{"id":1}]}'),
        (["a", "b"], "a, b"),
    ],
)
def test_previews_of_answers(value: object, expected: str) -> None:
    assert preview(orjson.dumps(value).decode(), last=True, answer=True) == expected


@pytest.mark.parametrize("where", ["tail", "file"])
def test_a_root_that_says_nothing_is_told_by_its_model_calls(tmp_path: Path, where: str) -> None:
    writer = Writer(tmp_path)
    for number, own in enumerate((None, {}, {"question": "own?"})):
        trace, top = ids(0xC0 + number)
        writer.start(trace, top, name="request", at=T0 + number * S, given=own)
        for call in (1, 2):
            span = ids(0xC00 + number * 16 + call)[1]
            given = [message("user", {"type": "text", "content": f"question {call}"})]
            said = [message("assistant", {"type": "text", "content": f"answer {call}"})]
            at = T0 + number * S + call * MS
            writer.start(trace, span, top, kind="llm", name="chat", given=given, at=at)
            writer.end(trace, span, at=at + MS, output=said)
        failed = number == 2
        writer.end(trace, top, at=T0 + number * S + 9 * MS, status="error" if failed else "ok")
    if where == "file":
        catch_up(tmp_path)
    with read(tmp_path) as reader:
        rows = reader.traces().rows[::-1]
        assert [(row.input_preview, row.output_preview) for row in rows] == [
            ("question 1", "answer 2"),
            ("", "answer 2"),
            ("own?", None),
        ]
        assert [reader.trace(row.trace_id).row for row in rows] == rows


def test_a_found_trace_tells_where_its_text_stands(store: Path) -> None:
    with read(store) as reader:
        found = reader.traces(text="On its way")
        assert [(hit.name, hit.where) for hit in found.matches.values()] == [("chat gpt-4o", "output")]
        assert list(found.matches) == [row.trace_id for row in found.rows]
        assert found.matches[ids(0xA1)[0]].snippet == '"On its way"'
        outermost = reader.traces(text="order?")
        assert [hit.name for hit in outermost.matches.values()] == ["ask"]
        assert reader.traces(text="order?", offset=1).matches == {}
        assert reader.traces(text="no such order").matches == {}, "an error message is no body"
        assert reader.traces().matches == {}


@given(st.text(), st.booleans())
def test_previews_are_total_and_short(text: str, last: bool) -> None:
    for value in (text, orjson.dumps(text.encode("utf-8", "replace").decode()).decode()):
        found = preview(value, last=last)
        assert found is None or (len(found) <= LIMIT and "\n" not in found)


def test_the_bodies_of_a_whole_trace_are_those_of_its_spans(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    trace, root = ids(1)
    for number in range(2, 12):
        _, span = ids(number)
        writer.start(trace, span, root, given={"n": number}, attributes={"a": number})
        documents = [{"id": str(rank), "content": f"{number}.{rank}"} for rank in range(number % 3)]
        writer.end(
            trace, span, output=None if number == 5 else "x", attributes={"spanreel.documents": documents}
        )
        if number == 7:
            catch_up(tmp_path)
    with DuckReader(tmp_path, catch_up=False) as reader:
        found = reader.bodies(trace)
        assert set(found) == {span.span_id for span in reader.trace(trace).spans}
        for span_id, bodies in found.items():
            detail = reader.span(trace, span_id)
            assert (bodies.input, bodies.output, bodies.attributes, bodies.metadata, bodies.documents) == (
                detail.input, detail.output, detail.attributes, detail.metadata, detail.documents,
            )  # fmt: skip
        with pytest.raises(QueryError):
            reader.bodies("f" * 32)
