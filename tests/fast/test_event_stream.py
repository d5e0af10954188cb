"""Amazon's event streams: read as botocore writes and reads them, whatever is broken, and cleaned in place."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from bedrock_server import chunk, frame
from hypothesis import given
from hypothesis import strategies as st

from spanreel.protocols import event_stream, framing
from spanreel.redaction import Redactor
from spanreel.wire import frames

botocore_stream = pytest.importorskip("botocore.eventstream")

KEY = "sk-proj-planted0123456789abcdefghijklmnopqrstuvwxyzABCDEF"


def delta(text: str) -> bytes:
    return frame("contentBlockDelta", json.dumps({"contentBlockIndex": 0, "delta": {"text": text}}))


def _texts(event: dict[str, Any]) -> str:
    return str(event.get("generation") or event.get("delta", {}).get("text", ""))


def test_frames_are_what_botocore_reads() -> None:
    data = frame("messageStart", '{"role":"assistant"}') + delta("Hi") + chunk({"generation": "x"})
    buffer = botocore_stream.EventStreamBuffer()
    buffer.add_data(data)
    theirs = [(message.headers, message.payload) for message in buffer]
    ours = [(dict(found.headers), found.payload) for found in event_stream.frames(data)]
    assert ours == theirs
    assert [found.end for found in event_stream.frames(data)][-1] == len(data)
    assert framing.find(data) is framing.FRAMES


def test_events_exceptions_and_chunks() -> None:
    failure = frame("throttlingException", '{"message":"slow down"}', message="exception")
    found = list(event_stream.events(delta("Hi") + chunk({"generation": "x"}) + failure))
    assert [event.name for event in found] == ["contentBlockDelta", "", "error"]
    assert json.loads(found[1].data) == {"generation": "x"}
    assert json.loads(found[2].data)["error"] == {"type": "throttlingException", "message": "slow down"}
    assert [event.end for event in event_stream.last(delta("a") * 5, 2)] == [
        len(delta("a")) * n for n in (4, 5)
    ]


@given(
    st.binary(max_size=300),
    st.lists(st.text(max_size=20), max_size=4),
    st.integers(0, 400),
    st.integers(0, 255),
)
def test_reading_is_total(noise: bytes, texts: list[str], place: int, value: int) -> None:
    data = bytearray(noise + b"".join(map(delta, texts)))
    if place < len(data):
        data[place] = value
    for cut in (bytes(data), bytes(data[:place])):
        assert all(0 <= event.end <= len(cut) for event in event_stream.events(cut))
        event_stream.last(cut, 3)
        framing.find(cut)
        cleaned, offsets = frames.clean(cut, [0, min(place, len(cut))], Redactor())
        assert len(offsets) == 2
        assert all(0 <= offset <= len(cleaned) for offset in offsets)


@given(st.binary(max_size=40), st.binary(max_size=60))
def test_what_is_encoded_is_read_again(headers: bytes, payload: bytes) -> None:
    data = event_stream.encode(headers, payload)
    (found,) = event_stream.frames(data)
    assert (found.start, found.end, found.raw_headers, found.payload) == (0, len(data), headers, payload)


@given(st.lists(st.text(max_size=12), min_size=1, max_size=5), st.integers(0, 4))
def test_a_broken_frame_costs_itself(texts: list[str], broken: int) -> None:
    whole = [delta(text) for text in texts]
    broken %= len(whole)
    damaged = bytearray(whole[broken])
    damaged[-5] ^= 1
    whole[broken] = bytes(damaged)
    said = [json.loads(event.data)["delta"]["text"] for event in event_stream.events(b"".join(whole))]
    assert said == texts[:broken] + texts[broken + 1 :]


def test_reading_goes_on_after_bytes_that_are_no_frame() -> None:
    assert [event.name for event in event_stream.events(b"garbage" + delta("Hi"))] == ["contentBlockDelta"]


def test_all_header_types_are_passed_over() -> None:
    headers = b""
    for number, value in ((0, b""), (1, b""), (2, b"1"), (3, b"22"), (4, b"4444"), (5, b"8" * 8), (6, b"\0\x02ab"), (8, b"8" * 8), (9, b"g" * 16)):  # fmt: skip
        headers += b"\x01x" + bytes([number]) + value
    headers += b"\x0b:event-type\x07" + struct.pack(">H", 4) + b"ping"
    (event,) = event_stream.events(event_stream.encode(headers, b"{}"))
    assert event.name == "ping"


@pytest.mark.parametrize("piece", [4, 100])
def test_a_secret_in_frames_and_over_them(piece: int) -> None:
    text = f"The key is {KEY}. Keep it."
    parts = [text[start : start + piece] for start in range(0, len(text), piece)]
    for make in (delta, lambda text: chunk({"generation": text, "stop_reason": None})):
        built = [make(part) for part in parts]
        data = b"".join(built) + make("the end")
        offsets = [sum(map(len, built[:n])) for n in range(len(built))]
        cleaned, moved = frames.clean(data, offsets, Redactor())
        found = list(event_stream.events(cleaned))
        assert len(found) == len(parts) + 1
        assert moved == [0, *(event.end for event in found[: len(parts) - 1])]
        said = b"".join(event.data for event in found).decode()
        assert "planted" not in said
        assert "[REDACTED" in said
        assert "Keep it.the end" in "".join(_texts(json.loads(event.data)) for event in found)


def test_a_stream_without_a_secret_is_untouched_but_for_its_cut_end() -> None:
    data = delta("Hi") + delta("Ho")
    assert frames.clean(data, [0, 5], Redactor()) == (data, [0, 5])
    cleaned, moved = frames.clean(data[:-3], [0, len(data) - 5], Redactor())
    assert cleaned == delta("Hi")
    assert moved == [0, len(cleaned)]
