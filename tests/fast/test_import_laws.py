"""Laws of the OTLP decoders: total on any bytes, and protobuf and JSON mean the same."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from otlp_messages import any_value, framed, log, logs, protobuf, span, text, traces

from spanreel.redaction import Redactor
from spanreel_exporters.otlp import decode_json, decode_protobuf
from spanreel_exporters.otlp.framing import messages
from spanreel_exporters.otlp.model import Decoded
from spanreel_exporters.otlp.records import Recorder

names = st.text(st.characters(codec="utf-8"), max_size=12)
scalars = (
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | names
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
maps = st.dictionaries(names, values, max_size=4)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from([
            "resourceSpans", "scopeSpans", "spans", "attributes", "key", "value", "stringValue", "arrayValue", "values",
            "kvlistValue", "traceId", "spanId", "startTimeUnixNano", "events", "links", "status", "code", "resource",
            "scope", "resourceLogs", "scopeLogs", "logRecords", "body", "intValue", "eventName", "name",
        ]) | st.text(max_size=5),
        inner,
        max_size=5,
    ),
    max_leaves=30,
)  # fmt: skip


def all_of(data: bytes) -> tuple[list[Decoded], list[tuple[int, str]]]:
    troubles: list[tuple[int, str]] = []
    found = list(messages(io.BytesIO(data), lambda at, why: troubles.append((at, why))))
    return found, troubles


@given(st.lists(maps, min_size=1, max_size=3), maps)
def test_protobuf_and_json_mean_the_same(attributes: list[dict[str, Any]], resource: dict[str, Any]) -> None:
    message = traces(*(
        span(
            number + 1, told, parentSpanId=f"{number + 7:016x}", traceState="a=b", flags=0x301, droppedAttributesCount=number,
            events=[{"name": "e", "timeUnixNano": "17", "attributes": [{"key": "k", "value": any_value(told)}]}],
            links=[{"traceId": "1" * 32, "spanId": "2" * 16, "attributes": []}],
            status={"code": 2, "message": "why"},
        )
        for number, told in enumerate(attributes)
    ))  # fmt: skip
    message["resourceSpans"][0]["resource"]["attributes"] = [{"key": "r", "value": any_value(resource)}]
    spoken = decode_json.decode(message)
    troubles: list[str] = []
    binary = decode_protobuf.decode(protobuf(message), lambda _at, why: troubles.append(why))
    assert troubles == []
    assert binary.spans == spoken.spans
    record = logs(log(5, "gen_ai.choice", body=attributes[0], values=resource))
    assert (
        decode_protobuf.decode(protobuf(record), lambda _at, why: troubles.append(why)).logs
        == decode_json.decode(record).logs
    )


@given(anything)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_json_is_decoded_and_recorded_without_an_error(message: Any) -> None:
    recorder = Recorder(Redactor(), lambda _reason: None)
    shaped = {"resourceSpans": [{"scopeSpans": [{"spans": [message, {**span(1), "attributes": message, "events": message}]}]}],
              "resourceLogs": message}  # fmt: skip
    for one in (message, shaped):
        decoded = decode_json.decode(one)
        for found in decoded.spans:
            for record in recorder.span(found):
                assert record.count(b"\n") == 1
                assert record.endswith(b"\n")
                assert b"\0" not in record
        for entry in decoded.logs:
            assert recorder.log(entry).count(b"\n") <= 1


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    for form in (
        data,
        framed(data),
        b"\n" + data,
        b"{" + data,
        b"\x1f\x8b\x08" + data,
        b"\x28\xb5\x2f\xfd" + data,
    ):
        all_of(form)


@given(st.data())
def test_a_file_cut_anywhere_gives_what_came_before(data: st.DataObject) -> None:
    message = traces(*(span(number, {"text": "x" * 20}) for number in range(1, 5)))
    form = data.draw(st.sampled_from(["json", "lines", "protobuf", "frames"]))
    whole = {
        "json": text(message),
        "lines": b"\n".join(text(traces(span(number))) for number in range(1, 5)) + b"\n",
        "protobuf": protobuf(message),
        "frames": framed(*(protobuf(traces(span(number))) for number in range(1, 5))),
    }[form]
    found, troubles = all_of(whole[: data.draw(st.integers(1, len(whole) - 2))])
    numbers = [int(one.span_id, 16) for decoded in found for one in decoded.spans]
    assert numbers == list(range(1, len(numbers) + 1))
    if form in {"json", "protobuf"}:
        assert troubles
    complete, none = all_of(whole)
    assert not none
    assert sum(len(decoded.spans) for decoded in complete) == 4
