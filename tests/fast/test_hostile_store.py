"""What a store meets that nobody wrote on purpose: strange files, broken segments, values out of range."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_fixture import T0, Writer, ids

from spanreel_exporters.duckdb import blanking, compaction, doctor, ingest, locks
from spanreel_exporters.duckdb.idle import Idle
from spanreel_exporters.duckdb.parse import parse
from spanreel_exporters.duckdb.reader import DuckReader
from spanreel_exporters.duckdb.tails import scan
from spanreel_exporters.duckdb.watch import JournalWatch

HEADER = b"spanreel-journal 1 open   x".ljust(63) + b"\n"
STRANGE = "100-0badb007-00000009.000001.seg"
SPANS = "SELECT count(*) FROM spans"


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


STRANGERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "pipe": (STRANGE, os.mkfifo),
    "directory": (STRANGE, Path.mkdir),
    "socket": (STRANGE, _socket),
    "link to a file": (STRANGE, lambda path: path.symlink_to(__file__)),
    "link to a directory": (STRANGE, lambda path: path.symlink_to("/etc")),
    "link to nothing": (STRANGE, lambda path: path.symlink_to("nothing")),
    "link to a device": (STRANGE, lambda path: path.symlink_to("/dev/zero")),
    "owner that is a pipe": ("100-0badb007-00000009.owner", os.mkfifo),
    "number beyond a table's": (
        "100-0badb007-00000009.99999999999.seg",
        lambda path: path.write_bytes(HEADER),
    ),
    "number spelt twice": ("100-0badb007-00000009.0000001.seg", lambda path: path.write_bytes(HEADER)),
}


def recorded(store: Path) -> Writer:
    """A store with one span that is not taken in."""
    writer = Writer(store, "900-0badb007-00000001")
    trace, span = ids(1)
    writer.start(trace, span, name="ok")
    writer.end(trace, span)
    return writer


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", STRANGERS)
def test_what_only_has_a_segments_name_is_left_alone_and_named(tmp_path: Path, kind: str) -> None:
    recorded(tmp_path)
    name, make = STRANGERS[kind]
    path = tmp_path / "journal" / name
    make(path)
    watch = JournalWatch(tmp_path)
    watch.note()
    assert not watch.changed()
    with DuckReader(tmp_path, catch_up=False) as reader:
        assert reader.connection.execute(SPANS).fetchone() == (1,)
    assert ingest.catch_up(tmp_path).spans == 1
    assert path.lstat()
    assert name not in {segment.name for segment in blanking.segments(tmp_path)}
    assert any(name in check.text for check in doctor.doctor(tmp_path).troubles)
    assert not Idle().still(tmp_path)


BROKEN = {
    "a hole, and a line behind it": bytes(10) + b"\nabc\n" + b"q" * 20_000 + b"\n",
    "nothing but holes": b"\0x" * 20_000,
    "one endless line": b"q" * 40_000,
    "no text at all": bytes(range(256)) * 200,
    "only room": bytes(50_000),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_segment_keeps_nobody_elses_spans_back(tmp_path: Path, kind: str) -> None:
    """It sorts before the living writer's, and is longer than what one hold of the lock may take."""
    recorded(tmp_path)
    (tmp_path / "journal" / STRANGE).write_bytes(HEADER + BROKEN[kind])
    with DuckReader(tmp_path, catch_up=False, tail_bytes=1 << 20) as reader:
        assert reader.connection.execute(SPANS).fetchone() == (1,)
    rounds, spans = 0, 0
    while True:
        report = ingest.ingest_once(tmp_path, budget_bytes=5_000, deadline_s=0)
        rounds, spans = rounds + 1, spans + report.spans
        if report.caught_up:
            break
        assert rounds < 100
    assert spans == 1
    assert not (tmp_path / "journal" / STRANGE).exists()


@given(st.lists(st.sampled_from([b"\0", b"\0\0\0", b"x", b"loss\t1\t{}\n", b"\n", b"abc\n"]), max_size=30))
def test_a_closed_segment_is_taken_to_its_end_in_pieces_of_any_size(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    at, size = 0, 7
    while at < len(data):
        part = data[at : at + size]
        moved = parse(part, final=True, at_end=at + size >= len(data)).consumed
        at += moved
        size = 7 if moved else size * 2
        assert size < 4 * len(data) + 16
    assert at == len(data)


def test_a_long_run_of_small_holes_is_no_work(tmp_path: Path) -> None:
    recorded(tmp_path)
    assert parse(b"x\0" * (2 << 20), final=True).consumed == 4 << 20


def test_a_writer_whose_owner_file_the_listing_missed_is_alive(tmp_path: Path, monkeypatch: Any) -> None:
    """A large directory is listed in pieces: a writer that begins meanwhile may show its segment alone."""
    from spanreel_exporters.duckdb import tails
    from spanreel_exporters.duckdb.folder import OWNER, plain_files

    writer = recorded(tmp_path)
    monkeypatch.setattr(
        tails,
        "plain_files",
        lambda store: [entry for entry in plain_files(store) if not entry.name.endswith(OWNER)],
    )
    (process,) = scan(tmp_path, {})
    assert process.alive
    assert not process.segments[0].final
    writer.die()


NUMBERS = st.sampled_from([
    "", "0", "1", "-1", "2147483648", "9223372036854775807", "9223372036854775808", "9" * 30, "1e400", "x",
])  # fmt: skip
VALUES = st.sampled_from([
    None, True, 1, -1, 1 << 63, (1 << 64) - 1, -(1 << 63), 1e308, "x", "\0", "", [1], {"a": 1}, 10**30,
])  # fmt: skip
CELLS = st.sampled_from([
    b"", b"null", b"{}", b"[]", b"1e400", b"NaN", b'"\\ud800"', b'"\\u0000"', b"\xff", b'"a', b'{"a"', b"[" * 2_000,
    b"[" * 2_000 + b"]" * 2_000, b'{"gen_ai.output.messages":[[]],"gen_ai.input.messages":5}',
    b'{"spanreel.documents":[1,null,{"id":{},"score":1e400,"content":{},"metadata":[]}],"spanreel.tags":[null,{}]}',
    b'{"gen_ai.usage.input_tokens":1e300,"gen_ai.usage.output_tokens":2147483648,"spanreel.cost_usd":1e400}',
    b'{"session.id":{},"user.id":["\\u0000"],"spanreel.metadata":"\\u0000","spanreel.first_token_ns":99999999999999999999}',
    b'{"spanreel.name":"\\u0000","spanreel.kind":"llm","spanreel.input":null,"spanreel.state":"abandoned"}',
    b'{"encoding":"base64","protocol":"openai.chat","first_ns":-1,"chunks":"x","status":{}}', b'{"spanreel.retry_count":9223372036854775808}',
])  # fmt: skip
SCORE = (
    "score_id",
    "trace_id",
    "span_id",
    "name",
    "value",
    "label",
    "comment",
    "source",
    "author",
    "created_ns",
)
LOSS = ("reason", "count", "first_ns", "last_ns", "pid", "service")
PROCESS = ("pid", "procid", "boot_id", "host", "start_ns", "service", "environment", "release", "python")


@st.composite
def records(draw: st.DrawFn) -> list[object]:
    """A journal record whose every cell may be wrong."""
    trace, span = ids(draw(st.integers(2, 4)))
    number = lambda: draw(NUMBERS)  # noqa: E731
    cell = lambda: draw(CELLS)  # noqa: E731
    kind = draw(st.sampled_from(["start", "end", "attempt", "patch", "score", "loss", "process"]))
    if kind == "start":
        parent = draw(st.sampled_from(["", span, "F" * 16, "x" * 99]))
        return [kind, 1, trace, span, parent, "f", number(), b"llm", cell(), cell(), cell()]
    if kind == "end":
        return [kind, 1, trace, span, number(), b"ok", number(), cell(), cell(), cell()]
    if kind == "attempt":
        return [kind, 1, trace, span, number(), cell(), cell(), cell()]
    if kind == "patch":
        return [kind, 1, trace, span, number(), cell()]
    names = {"score": SCORE, "loss": LOSS, "process": PROCESS}[kind]
    return [kind, 1, {name: draw(VALUES) for name in names if draw(st.booleans())}]


def _bytes(record: list[object]) -> bytes:
    import json

    def cell(value: object) -> bytes:
        if isinstance(value, dict):
            return json.dumps(value).encode()
        return value if isinstance(value, bytes) else str(value).encode()

    return b"\t".join(map(cell, record)) + b"\n"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(records(), min_size=1, max_size=10))
def test_no_record_stops_a_store_from_taking_in_and_showing_the_others(found: list[list[object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        writer = recorded(store)
        for record in found:
            writer.raw(_bytes(record))
        trace, span = ids(9)
        writer.start(trace, span, name="last")
        writer.end(trace, span)
        _read_everything(store, catch_up=False)
        assert ingest.catch_up(store).caught_up
        writer.die()
        assert ingest.catch_up(store).caught_up
        names = _read_everything(store, catch_up=True)
        assert {"ok", "last"} <= names


def _read_everything(store: Path, *, catch_up: bool) -> set[str]:
    with DuckReader(store, catch_up=catch_up) as reader:
        reader.connection.execute("FROM spans").fetchall()
        names = {str(row[0]) for row in reader.connection.execute("SELECT name FROM spans").fetchall()}
        reader.connection.execute("SELECT attributes->>'a', metadata->>'a' FROM spans").fetchall()
        for row in reader.traces().rows:
            for span in reader.trace(row.trace_id).spans:
                reader.span(span.trace_id, span.span_id)
                reader.wire(span.trace_id, span.span_id)
        reader.summary()
    return names


def test_a_score_with_an_impossible_time_is_counted_and_the_others_stand(tmp_path: Path) -> None:
    writer = recorded(tmp_path)
    trace, _ = ids(1)
    for number, created in enumerate((T0, 1 << 63, "9" * 400)):
        writer.line(
            "score", 1, {"score_id": str(number), "trace_id": trace, "name": "n", "created_ns": created}
        )
    report = ingest.catch_up(tmp_path)
    assert report.losses == {"garbage_record": 2}
    with DuckReader(tmp_path) as reader:
        assert [score.score_id for score in reader.trace(trace).scores] == ["0"]


HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1], read_only=True); print('held', flush=True); sys.stdin.read()"


def test_a_foreign_client_that_only_reads_is_named_as_well(tmp_path: Path) -> None:
    """DuckDB lets nobody write beside it, so it keeps ingest out like one that writes."""
    recorded(tmp_path).die()
    ingest.catch_up(tmp_path)
    command = [sys.executable, "-c", HOLD, str(tmp_path / "traces.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdin
        child.stdout.readline()
        report = doctor.doctor(tmp_path)
        assert report.facts["held_by"] == child.pid
        child.stdin.close()
    assert "held_by" not in doctor.doctor(tmp_path).facts


def test_the_copy_of_a_killed_rewrite_is_swept_away(tmp_path: Path) -> None:
    recorded(tmp_path).die()
    ingest.catch_up(tmp_path)
    fresh = tmp_path / compaction.FRESH
    fresh.write_bytes(b"x")
    with locks.exclusive(tmp_path):
        compaction.sweep(tmp_path)
        assert fresh.exists()
    compaction.sweep(tmp_path)
    assert not fresh.exists()


LIMITED = (
    "import resource, sys; from spanreel import cli; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    "sys.exit(cli.main(sys.argv[1:]))"
)


@pytest.mark.parametrize("words", [("compact",), ("forget", "last"), ("prune", "--older-than", "0s")])
def test_a_full_disk_is_one_line_and_costs_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    recorded(tmp_path).die()
    ingest.catch_up(tmp_path)
    command = [sys.executable, "-c", LIMITED, "--store", str(tmp_path), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr
    assert not (tmp_path / compaction.FRESH).exists()
    with DuckReader(tmp_path) as reader:
        assert reader.connection.execute(SPANS).fetchone() in {(1,), (0,)}
