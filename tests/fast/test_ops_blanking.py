from __future__ import annotations

import mmap
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from spanreel.segment import HEADER_BYTES, header
from spanreel_exporters.duckdb.blanking import Line, blank, filler, lines, segments

TRACE, OTHER = "a" * 32, "b" * 32


def _line(trace: str, text: str = "x") -> bytes:
    return f"end\t1\t{trace}\t{'c' * 16}\t5\tok\t\t{text}\t\t\n".encode()


def _segment(store: Path, content: bytes, name: str = "1-a-b.000001.seg", size: int = 4096) -> Path:
    (store / "journal").mkdir(parents=True, exist_ok=True)
    path = store / "journal" / name
    path.write_bytes((header("1-a-b") + content).ljust(size, b"\0"))
    return path


def test_only_matching_lines_are_overwritten_and_nothing_moves(tmp_path: Path) -> None:
    score = b'score\t1\t{"trace_id":"%s","comment":"secret"}\n' % TRACE.encode()
    content = _line(OTHER) + _line(TRACE, "secret") + score + _line(OTHER, "kept")
    path = _segment(tmp_path, content + b"end\t1\ttorn")
    before = path.read_bytes()
    assert blank(tmp_path, lambda line: line.trace_id() == TRACE) == 2
    after = path.read_bytes()
    assert len(after) == len(before)
    assert b"secret" not in after
    assert [line.kind() for line in lines(path)] == [b"end", b"void", b"void", b"end"]
    assert after.endswith(before[HEADER_BYTES + len(content) :])
    assert blank(tmp_path, lambda line: line.trace_id() == TRACE) == 0


def test_a_living_writer_goes_on_behind(tmp_path: Path) -> None:
    path = _segment(tmp_path, b"")
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 4096) as writer:
        writer.seek(HEADER_BYTES)
        writer.write(_line(TRACE, "secret"))
        assert blank(tmp_path, lambda line: line.trace_id() == TRACE) == 1
        writer.write(_line(OTHER, "later"))
    found = list(lines(path))
    assert [line.kind() for line in found] == [b"void", b"end"]
    assert b"later" in found[1].content
    assert b"secret" not in path.read_bytes()


def test_a_store_without_a_journal_has_no_segments(tmp_path: Path) -> None:
    assert segments(tmp_path) == []
    assert blank(tmp_path, lambda _line: True) == 0


@given(st.integers(min_value=0, max_value=500))
def test_a_filler_has_the_length_asked_for_and_no_line_end(length: int) -> None:
    assert len(filler(length)) == length
    assert b"\n" not in filler(length)
    assert b"\0" not in filler(length)


@given(st.binary(max_size=200))
def test_any_bytes_make_a_line_without_a_raise(content: bytes) -> None:
    line = Line(64, content)
    line.kind()
    line.trace_id()
