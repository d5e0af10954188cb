"""A marker planted in six places and more is found nowhere in the store's files after `forget`."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import duckdb
import pytest
from journal_fixture import MS, T0, Writer, ids

from spanreel.errors import StoreError
from spanreel_exporters.duckdb import compaction, connection, erasure, ingest, locks
from spanreel_exporters.duckdb.erasure import Selector
from spanreel_exporters.duckdb.reader import DuckReader
from spanreel_exporters.duckdb.wire_text import pack

MARKER = "Zyx9-Marker"
WIRE = {
    "protocol": "openai.chat",
    "method": "POST",
    "url": "http://x/v1/chat/completions",
    "status": 200,
    "start_ns": T0,
}


def plant(writer: Writer, number: int, marker: str = MARKER) -> str:
    """A trace with the marker in input, output, document, attribute, exception, wire bytes and a score."""
    trace, span = ids(number)
    _, inner = ids(number + 1000)
    writer.start(
        trace,
        span,
        name="answer",
        given={"q": f"about {marker}"},
        attributes={"session.id": f"s{number}", "user.id": f"u{number}"},
    )
    writer.start(
        trace,
        inner,
        span,
        kind="llm",
        name="chat",
        attributes={"spanreel.protocol": "openai.chat", "note": marker},
    )
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": marker}]})
    reply = json.dumps(
        {"choices": [{"message": {"role": "assistant", "content": f"{marker}!"}}], "model": "m"}
    )
    writer.attempt(trace, inner, 0, WIRE, body, reply)
    encoded = base64.b64encode(f"binary {marker}".encode()).decode()
    writer.attempt(trace, inner, 1, WIRE | {"encoding": "base64"}, encoded, encoded)
    writer.end(trace, inner, output=f"{marker}!")
    documents = [{"id": "d", "score": 1.0, "content": f"text {marker}", "metadata": {"by": marker}}]
    error = {"type": "ValueError", "message": f"no {marker}", "stacktrace": f"Traceback {marker}"}
    writer.end(
        trace,
        span,
        status="error",
        output={"a": marker},
        attributes={"spanreel.documents": documents},
        error=error,
    )
    writer.patch(trace, span, {"late": marker})
    score = {
        "score_id": f"sc{number}",
        "trace_id": trace,
        "span_id": span,
        "name": "good",
        "value": 1.0,
        "comment": marker,
        "source": "human",
        "created_ns": T0,
    }
    writer.line("score", 1, score)
    return trace


def files_with(store: Path, marker: str) -> list[str]:
    needles = (marker.encode(), base64.b64encode(f"binary {marker}".encode()))
    return [
        path.name
        for path in store.rglob("*")
        if path.is_file() and any(n in path.read_bytes() for n in needles)
    ]


def rows_with(store: Path, marker: str) -> list[str]:
    """Columns of any table of the file that hold the marker: zstd hides text from a look at the bytes."""
    found: list[str] = []
    if not (store / "traces.duckdb").exists():
        return found
    with duckdb.connect(str(store / "traces.duckdb"), read_only=True) as con:
        for table, column in con.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND database_name = 'traces'"
        ).fetchall():
            query = f'SELECT count(*) FROM "{table}" WHERE contains("{column}"::VARCHAR, ?)'
            if con.execute(query, [marker]).fetchall()[0][0]:
                found.append(f"{table}.{column}")
    return found


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "the store"


@pytest.mark.parametrize("alive", [True, False])
@pytest.mark.parametrize("ingested", [True, False])
@pytest.mark.parametrize("kind", ["trace", "session", "user", "text"])
def test_the_marker_is_nowhere_and_the_rest_is_whole(
    store: Path, kind: str, ingested: bool, alive: bool
) -> None:
    writer = Writer(store)
    gone = plant(writer, 1)
    kept = plant(writer, 2, "harmless")
    (store / "tmp").mkdir()
    (store / "tmp" / "duckdb_temp_storage_0.tmp").write_text(f"spilled by a killed query: {MARKER}")
    (store / "keeper.log").write_text(f"ValueError: {MARKER}")
    if ingested:
        ingest.catch_up(store)
    if not alive:
        writer.die()
    assert files_with(store, MARKER) or rows_with(store, MARKER)
    value = {"trace": gone, "session": "s1", "user": "u1", "text": MARKER}[kind]
    receipt = erasure.forget(store, Selector(kind, value))
    assert receipt.traces == (gone,)
    assert receipt.erased["spans"] == 2
    assert receipt.erased["documents"] == 1
    assert receipt.erased["scores"] == 1
    assert receipt.erased["provider_bytes"] == 2
    assert files_with(store, MARKER) == []
    assert rows_with(store, MARKER) == []
    assert MARKER not in json.dumps(receipt.as_json())
    with DuckReader(store) as reader:
        page = reader.traces()
        assert [row.trace_id for row in page.rows] == [kept]
        detail = reader.span(kept, ids(2)[1])
        assert "harmless" in (detail.input or "") + (detail.output or "")
        assert len(reader.trace(kept).spans) == 2
        assert not [loss for loss in reader.losses() if loss.reason in ("unknown_record", "garbage_record")]
    assert files_with(store, "harmless") or rows_with(store, "harmless")


def test_a_dry_run_counts_the_same_and_changes_nothing(store: Path) -> None:
    writer = Writer(store)
    gone = plant(writer, 1)
    ingest.catch_up(store)
    dry = erasure.forget(store, Selector("trace", gone), dry_run=True)
    assert dry.dry_run
    assert rows_with(store, MARKER)
    with DuckReader(store) as reader:
        assert reader.trace(gone).row.trace_id == gone
    real = erasure.forget(store, Selector("trace", gone))
    assert dry.erased == real.erased


def test_late_records_of_an_erased_trace_are_refused(store: Path) -> None:
    writer = Writer(store)
    trace, span = ids(7)
    writer.start(trace, span, given=MARKER, attributes={"session.id": "late"})
    ingest.catch_up(store)
    receipt = erasure.forget(store, Selector("session", "late"))
    assert receipt.traces == (trace,)
    assert receipt.erased["open_records"] == 1
    writer.end(trace, span, output=MARKER)
    writer.start(trace, ids(8)[1], span, given=MARKER)
    writer.end(trace, ids(8)[1])
    writer.line(
        "score",
        1,
        {
            "score_id": "x",
            "trace_id": trace,
            "span_id": None,
            "name": "n",
            "value": 1,
            "comment": MARKER,
            "source": "human",
            "created_ns": T0,
        },
    )
    writer.die()
    ingest.catch_up(store)
    assert rows_with(store, MARKER) == []
    with DuckReader(store) as reader:
        assert reader.traces().rows == []


def test_what_a_living_program_goes_on_writing_is_named_in_the_receipt(store: Path) -> None:
    writer = Writer(store)
    trace, span = ids(7)
    writer.start(trace, span, given=MARKER)
    ingest.catch_up(store)
    rewrite = compaction.rewrite

    def and_meanwhile(path: Path) -> compaction.Compacted:
        writer.end(trace, span, output="more")
        return rewrite(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "rewrite", and_meanwhile)
        receipt = erasure.forget(store, Selector("trace", trace))
    assert trace in receipt.notes[0]


@pytest.mark.parametrize("text", ['say "hi"\n\tthere', "naïve 東京", "back\\slash", "O'Hara"])
def test_text_is_found_however_it_is_escaped(store: Path, text: str) -> None:
    writer = Writer(store)
    gone = plant(writer, 1, text)
    plant(writer, 2, "harmless")
    assert erasure.forget(store, Selector("text", text)).traces == (gone,)


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_name_is_found_in_json_inside_json_with_escaped_letters(
    tmp_path: Path, levels: int, upper: bool
) -> None:
    """What a tool answers is often `json.dumps` of something, and stands as text in a message."""
    store, writer = tmp_path / "s", Writer(tmp_path / "s")
    trace, span = ids(1)
    said: str = "of Zo\u00eb \u017dkova"
    for _ in range(levels):
        said = json.dumps(said)
    said = said.replace("\\u00eb", "\\u00EB").replace("\\u017d", "\\u017D") if upper else said
    writer.start(trace, span, name="tool")
    writer.raw(
        b"end\t1\t%s\t%s\t%d\tok\t\t%s\t\t\n" % (trace.encode(), span.encode(), T0 + MS, said.encode())
    )
    assert erasure.forget(store, Selector("text", "Zo\u00eb \u017dkova"), dry_run=True).traces == (trace,)
    assert erasure.forget(store, Selector("text", "Zo\u00eb \u017dkova")).traces == (trace,)
    assert not [path for path in store.rglob("*") if path.is_file() and b"kova" in path.read_bytes()]


def test_text_is_found_where_it_runs_out_of_what_the_bodies_hold(store: Path) -> None:
    """Provider bytes are kept as references into the bodies: this text stands whole in neither."""
    gone = plant(Writer(store), 1, "harmless")
    ingest.catch_up(store)
    known = "a sentence of the conversation that is long enough to be a reference, said twice"
    given, request = json.dumps([known]), f'{{"prompt": "secretly {known}"}}'
    packed = pack(request, given)
    assert known not in packed
    with duckdb.connect(str(store / "traces.duckdb")) as con:
        con.execute(
            "UPDATE body_text SET text = ?, input_chars = ?, output_chars = NULL", [given, len(given)]
        )
        con.execute("UPDATE span_wire SET request = ? WHERE encoding = 'utf-8'", [packed])
    text = Selector("text", "secretly a sentence")
    assert erasure.forget(store, text, dry_run=True).traces == (gone,)


def test_nothing_found_erases_nothing(store: Path) -> None:
    writer = Writer(store)
    plant(writer, 1)
    receipt = erasure.forget(store, Selector("user", "nobody"))
    assert receipt.traces == ()
    assert rows_with(store, MARKER)
    assert erasure.forget(store, Selector("trace", "f" * 32)).traces == ()


def test_an_empty_store_gives_an_empty_receipt(store: Path) -> None:
    (store / "journal").mkdir(parents=True)
    assert erasure.forget(store, Selector("text", "x")).erased == {"traces": 0}


def test_a_rewrite_that_was_cut_off_is_made_up_for(store: Path) -> None:
    writer = Writer(store)
    gone = plant(writer, 1)
    ingest.catch_up(store)
    writer.die()

    def cut_off(_store: Path) -> compaction.Compacted:
        raise StoreError("no room")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "rewrite", cut_off)
        with pytest.raises(StoreError, match="no room"):
            erasure.forget(store, Selector("trace", gone))
    assert (store / compaction.PENDING).exists()
    erasure.forget(store, Selector("trace", gone))
    assert not (store / compaction.PENDING).exists()
    assert files_with(store, MARKER) == []


def test_a_foreign_client_is_named_and_nothing_is_erased(store: Path) -> None:
    writer = Writer(store)
    gone = plant(writer, 1)
    ingest.catch_up(store)
    con = duckdb.connect(str(store / "traces.duckdb"))
    try:
        with pytest.raises(StoreError, match="held open by"):
            erasure.forget(store, Selector("trace", gone))
    finally:
        con.close()
    assert rows_with(store, MARKER)


def test_compaction_keeps_rows_views_storage_and_permissions(store: Path) -> None:
    writer = Writer(store)
    for number in range(1, 40):
        plant(writer, number, f"m{number}")
    ingest.catch_up(store)
    with locks.exclusive(store) as held, connection.writer(store) as con:
        assert held
        con.execute("CHECKPOINT store")
    before = (store / "traces.duckdb").stat()
    outcome = compaction.compact(store)
    after = (store / "traces.duckdb").stat()
    assert before.st_ino != after.st_ino
    assert after.st_mode & 0o777 == 0o600
    assert outcome.rows > 39 * 5
    assert not list(store.glob("*.new*"))
    with duckdb.connect(str(store / "traces.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM spans").fetchall()[0][0] == 78
        assert con.execute("SELECT sum(n) FROM (SELECT count(*) n FROM traces)").fetchall()[0][0] == 39
        tags = con.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'traces'").fetchall()[
            0
        ][0]
        assert str(tags["storage_version"]).startswith("v1.5")
        sizes = con.execute("SELECT block_size FROM pragma_database_size()").fetchall()
        assert sizes[0][0] == connection.BLOCK_SIZE
        ddl = con.execute("SELECT sql FROM duckdb_tables() WHERE table_name = 'body_text'").fetchall()[0][0]
        assert "ZSTD" in ddl.upper()
    writer.start(*ids(99))
    writer.end(*ids(99), at=T0 + MS)
    ingest.catch_up(store)
    with DuckReader(store) as reader:
        assert reader.summary().spans == 79


def test_compaction_of_a_store_without_a_database_is_nothing(store: Path) -> None:
    (store / "journal").mkdir(parents=True)
    assert compaction.compact(store) == compaction.Compacted(0, 0, 0, 0.0)


def test_compaction_without_room_leaves_the_database(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(store)
    plant(writer, 1)
    ingest.catch_up(store)
    monkeypatch.setattr(
        compaction,
        "copy",
        lambda _con, _fresh: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    )
    with pytest.raises(StoreError, match="No space left"):
        compaction.compact(store)
    assert rows_with(store, MARKER)
