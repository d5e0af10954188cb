"""The text of a span as one stored value, the way there from schema 1, and packing a database of many pieces."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import duckdb
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_fixture import MS, T0, Writer, ids

from spanreel_exporters.duckdb import compaction, connection, ingest, locks, schema, tidy
from spanreel_exporters.duckdb.body_text import text_rows
from spanreel_exporters.duckdb.connection import connect
from spanreel_exporters.duckdb.queries import migrations, schema_sql
from spanreel_exporters.duckdb.reader import DuckReader

maybe = st.none() | st.text(max_size=6)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    con = connect(tmp_path_factory.mktemp("empty"), threads=1, memory="100MB")
    schema.create_in_memory(con)
    return con


@given(st.lists(st.tuples(maybe, maybe, st.lists(maybe, max_size=3)), max_size=5))
def test_views_give_back_what_was_put_together(
    empty: duckdb.DuckDBPyConnection, spans: list[tuple[str | None, str | None, list[str | None]]]
) -> None:
    bodies = [(i, asked, told) for i, (asked, told, _) in enumerate(spans) if asked or told]
    documents = [
        (i, f"{i:032x}", f"{i:016x}", rank, None, 0.5, content, None)
        for i, (_, _, contents) in enumerate(spans)
        for rank, content in enumerate(contents)
    ]
    texts, places = text_rows(bodies, documents)
    empty.execute("DELETE FROM store.body_text; DELETE FROM store.document_row; DELETE FROM store.span_row")
    for i in range(len(spans)):
        empty.execute(
            "INSERT INTO store.span_row (seq, trace_id, span_id) VALUES (?, ?, ?)",
            [i, f"{i:032x}", f"{i:016x}"],
        )
    for table, rows in (("body_text", texts), ("document_row", places)):
        ingest.append(empty, f"store.{table}", rows)
    found = {row[0]: row[1:] for row in empty.execute("FROM store.span_body").fetchall()}
    for seq, asked, told in bodies:
        assert found[seq] == (asked, told)
    assert empty.execute("FROM store.document ORDER BY seq, rank").fetchall() == documents


def test_a_store_of_schema_1_is_migrated_with_all_it_holds(tmp_path: Path) -> None:
    store = tmp_path
    (store / "journal").mkdir()
    with duckdb.connect() as con:
        con.execute(
            f"ATTACH '{store / 'traces.duckdb'}' AS store (STORAGE_VERSION 'v1.5.0', BLOCK_SIZE 16384)"
        )
        con.execute("USE store")
        con.execute(schema_sql(migrations()[0][1]))
        con.execute(
            "INSERT INTO span_row (seq, trace_id, span_id, state, start_ns, input_preview) VALUES "
            f"(1, '{ids(1)[0]}', '{ids(1)[1]}', 'ended', 1, 'ask'), (2, '{ids(1)[0]}', '{ids(2)[1]}', 'ended', 1, NULL)"
        )
        con.execute("""INSERT INTO span_body VALUES (1, '"äsk"', '"answer"'), (2, NULL, '[]')""")
        con.execute(
            "INSERT INTO document VALUES (1, ?, ?, 0, 'a', 0.5, 'first', NULL), (1, ?, ?, 1, 'b', NULL, NULL, '{}'), "
            "(1, ?, ?, 2, 'c', 0.1, 'thïrd', NULL)",
            [*ids(1), *ids(1), *ids(1)],
        )
        before = con.execute("FROM document ORDER BY seq, rank").fetchall()
    Writer(store)
    ingest.catch_up(store)
    with duckdb.connect(str(store / "traces.duckdb"), read_only=True) as con:
        assert con.execute("SELECT schema_version FROM meta").fetchall() == [(schema.VERSION,)]
        assert con.execute("FROM span_body ORDER BY seq").fetchall() == [
            (1, '"äsk"', '"answer"'),
            (2, None, "[]"),
        ]
        assert con.execute("FROM document ORDER BY seq, rank").fetchall() == before
        assert con.execute("FROM preview").fetchall() == [(1, "ask", None)]
        assert con.execute("SELECT count(*), count(input), count(output) FROM spans").fetchall() == [
            (2, 1, 2)
        ]


def test_a_phrase_of_a_document_is_no_hit_in_the_body(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    found = {"spanreel.documents": [{"content": "a heron"}]}
    writer.start(*ids(1), kind="retrieval", given="who?", attributes=found)
    writer.end(*ids(1), output="a stork")
    writer.die()
    ingest.catch_up(tmp_path)
    with DuckReader(tmp_path) as reader:
        assert reader.search("heron").rows == []
        assert [hit.where for hit in reader.search("stork").rows] == ["output"]
        assert [d.content for d in reader.span(*ids(1)).documents] == ["a heron"]


def in_pieces(store: Path, pieces: int = 6) -> Writer:
    """A database of several row groups."""
    writer = Writer(store)
    for piece in range(pieces):
        for number in range(piece * 50 + 1, piece * 50 + 51):
            writer.start(*ids(number), at=T0 + number * MS, given=f"question {number}")
            writer.end(*ids(number), at=T0 + number * MS + MS, output=f"answer {number}")
        ingest.catch_up(store)
        with locks.exclusive(store), connection.writer(store) as con:
            con.execute("CHECKPOINT store")
    return writer


def contents(store: Path) -> list[tuple[object, ...]]:
    with DuckReader(store, catch_up=False) as reader:
        return reader.connection.execute("FROM spans ORDER BY trace_id").fetchall()


def test_many_pieces_are_packed_once(tmp_path: Path) -> None:
    writer = in_pieces(tmp_path)
    before = contents(tmp_path)
    done = tidy.tidy(tmp_path)
    assert done is not None
    assert done.bytes_after < done.bytes_before
    assert contents(tmp_path) == before
    assert tidy.tidy(tmp_path) is None
    assert (tmp_path / "traces.duckdb").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / compaction.FRESH).exists()
    writer.start(*ids(900))
    writer.end(*ids(900))
    ingest.catch_up(tmp_path)
    assert len(contents(tmp_path)) == len(before) + 1


def test_it_packs_beside_readers_and_not_over_what_was_written_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = in_pieces(tmp_path)
    copy = compaction.copy
    seen: list[int] = []

    def meanwhile(con: duckdb.DuckDBPyConnection, fresh: Path) -> int:
        seen.append(len(contents(tmp_path)))  # a reader of another thread would do the same
        return copy(con, fresh)

    def write_first(*args: object) -> bool:
        writer.start(*ids(901))
        writer.end(*ids(901))
        ingest.catch_up(tmp_path)
        return swapped(*args)  # type: ignore[arg-type]

    swapped = tidy._swapped
    monkeypatch.setattr(compaction, "copy", meanwhile)
    monkeypatch.setattr(tidy, "_swapped", write_first)
    assert tidy.tidy(tmp_path) is None
    assert seen == [300]
    assert len(contents(tmp_path)) == 301
    assert not (tmp_path / compaction.FRESH).exists()


@pytest.mark.parametrize("obstacle", ["erasure", "size", "nothing"])
def test_it_stands_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str) -> None:
    if obstacle == "nothing":
        assert tidy.tidy(tmp_path) is None
        return
    in_pieces(tmp_path)
    inode = (tmp_path / "traces.duckdb").stat().st_ino
    if obstacle == "erasure":
        (tmp_path / compaction.PENDING).touch()
    else:
        monkeypatch.setattr(tidy, "MOST_BYTES", 1000)
    assert tidy.tidy(tmp_path) is None
    assert (tmp_path / "traces.duckdb").stat().st_ino == inode


def test_a_reader_that_stays_keeps_the_database_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_pieces(tmp_path)
    inode = (tmp_path / "traces.duckdb").stat().st_ino
    monkeypatch.setattr(tidy, "SWAP_S", 0.05)
    release, held = threading.Event(), threading.Event()

    def hold() -> None:
        with locks.shared(tmp_path):
            held.set()
            release.wait(30)

    reader = threading.Thread(target=hold)
    reader.start()
    assert held.wait(30)
    assert tidy.tidy(tmp_path) is None
    assert (tmp_path / "traces.duckdb").stat().st_ino == inode
    release.set()
    reader.join()


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_pieces(tmp_path)
    assert tidy.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("packed ")
    (tmp_path / "traces.duckdb").write_bytes(os.urandom(5000))
    assert tidy.main([str(tmp_path)]) == 1
    assert "cannot be" in capsys.readouterr().out


def test_bodies_with_quotes_are_referred_to_too() -> None:
    from spanreel_exporters.duckdb.wire_text import pack, unpack

    for quotes in (2, 40):
        said = 'he said "yes" and went on, for quite a while ' * quotes
        body, wire = orjson.dumps([{"content": said}]).decode(), orjson.dumps({"m": said, "n": 1}).decode()
        assert unpack(pack(wire, body), body) == wire
    assert len(pack(wire, body)) < 60
