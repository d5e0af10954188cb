"""Bytes -> records: total on anything, and the same whatever pieces the bytes come in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spanreel_exporters.duckdb.assemble import Assembler, build
from spanreel_exporters.duckdb.losses import Losses
from spanreel_exporters.duckdb.parse import CELLS, parse
from spanreel_exporters.duckdb.rows import score_row

PATCH = b"patch\t1\t" + b"a" * 32 + b"\t" + b"b" * 16 + b"\t5\t{}\n"
LOSS = b'loss\t1\t{"reason":"x","count":1}\n'
lines = st.lists(
    st.sampled_from([PATCH, LOSS, b"nonsense\n", b"patch\t9\tx\n", b"future\t1\tx\n", b"\n", b"\t\t\n"]),
    max_size=12,
)
junk = st.lists(
    st.one_of(
        st.binary(max_size=40), st.sampled_from([PATCH, LOSS, b"\0", b"\n", b"\t", b"start\t1\t", b"end\t1"])
    ),
    max_size=20,
).map(b"".join)


@given(junk, st.booleans())
def test_no_bytes_make_it_raise(data: bytes, final: bool) -> None:
    parsed = parse(data, final=final)
    assert 0 <= parsed.consumed <= len(data)
    assert all(len(record) == CELLS[record[0]] for record in parsed.records)
    if final:
        assert parsed.consumed == len(data)


@given(junk)
def test_no_record_makes_a_span_raise(data: bytes) -> None:
    assembler, losses = Assembler(), Losses()
    for record in parse(data, final=True).records:
        if record[0] in {b"start", b"end", b"attempt", b"patch"}:
            assembler.feed("p", record)
        elif record[0] == b"score":
            score_row(record[2])
        elif record[0] == b"loss":
            losses.add_record(record[2])
    for key, pending in assembler.take(dead=frozenset({"p"})):
        build(key, pending, {}, lose=assembler.lose)


@given(
    st.lists(
        st.binary(max_size=12).filter(lambda cell: not set(cell) & set(b"\0\t\n")), min_size=7, max_size=7
    ),
    st.booleans(),
)
def test_any_cells_make_a_span(cells: list[bytes], ended: bool) -> None:
    trace, span = b"a" * 32, b"b" * 16
    assembler = Assembler()
    assembler.feed("p", [b"start", b"1", trace, span, *cells])
    assembler.feed("p", [b"patch", b"1", trace, span, cells[0], cells[1]])
    assembler.feed("p", [b"attempt", b"1", trace, span, cells[0], cells[1], cells[2], cells[3]])
    if ended:
        assembler.feed("p", [b"end", b"1", trace, span, *cells[:6]])
    (found,) = list(assembler.take(dead=frozenset({"p"})))
    raw = build(*found, {}, lose=assembler.lose)
    assert (raw.trace_id, raw.span_id) == (trace.decode(), span.decode())


@given(lines, st.integers(0, 400))
def test_pieces_give_the_same_records(parts: list[bytes], cut: int) -> None:
    data = b"".join(parts)
    whole = parse(data, final=True)
    first = parse(data[:cut], final=False)
    second = parse(data[first.consumed :], final=True)
    assert first.records + second.records == whole.records


def test_a_living_segment_is_read_to_the_last_line_before_the_first_nul() -> None:
    parsed = parse(PATCH + PATCH[:20] + bytes(50) + PATCH, final=False)
    assert (len(parsed.records), parsed.consumed, parsed.losses) == (1, len(PATCH), {})


def test_a_torn_tail_is_counted_once_nobody_writes_any_more() -> None:
    parsed = parse(PATCH + PATCH[:20] + bytes(50), final=True)
    assert (len(parsed.records), parsed.losses) == (1, {"torn_record": 1})


def test_a_hole_costs_the_line_it_is_in() -> None:
    parsed = parse(PATCH + bytes(9) + b"rest of it\n" + PATCH, final=True)
    assert (len(parsed.records), parsed.losses) == (2, {"torn_record": 1})


def test_lines_that_cannot_be_used_are_counted_by_reason() -> None:
    parsed = parse(b"\xff\xfe\npatch\t2\tx\tx\tx\tx\nfuture\t1\tx\nstart\t1\tx\n" + PATCH, final=False)
    assert parsed.losses == {"garbage_record": 2, "unknown_record": 2}
    assert len(parsed.records) == 1
