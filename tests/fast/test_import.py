"""`spanreel import`: every form of OTLP comes in, once; what cannot be read is named and costs only itself."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from otlp_messages import delimited, framed, log, logs, protobuf, span, text, traces

import spanreel
from spanreel import cli
from spanreel.config import Settings
from spanreel_exporters.otlp.importing import Outcome, import_files

CHAT = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3,
    "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"blue"}]}]',
}  # fmt: skip
ONE = traces(
    span(1, CHAT), span(2, {"deep": {"a": [1, {"b": None}]}, "list": ["x", "y"], "yes": True, "half": 0.5})
)
TWO = traces(span(3, CHAT, trace=2))


def take(tmp_path: Path, *names: str | Path) -> Outcome:
    return import_files(tmp_path / "store", [str(name) for name in names], Settings())


def rows(tmp_path: Path, query: str = "SELECT * FROM spans ORDER BY start_ns") -> list[dict[str, Any]]:
    return [dict(row) for row in spanreel.sql(query, store=tmp_path / "store")]


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def pretty(*messages: object) -> bytes:
    return "\n".join(json.dumps(message, indent=2) for message in messages).encode()


FORMS: dict[str, bytes] = {
    "document": text(ONE),
    "pretty document": pretty(ONE),
    "with a byte order mark": b"\xef\xbb\xbf" + text(ONE),
    "array": text([ONE, TWO]),
    "lines": text(ONE) + b"\n" + text(TWO) + b"\n",
    "lines without a last line end, blank ones between": b"\n" + text(ONE) + b"\n\n" + text(TWO),
    "documents behind each other": pretty(ONE, TWO),
    "protobuf": protobuf(ONE),
    "protobuf frames": framed(protobuf(ONE), protobuf(TWO)),
    "protobuf frames, each zstd": framed(zstd(protobuf(ONE)), zstd(protobuf(TWO))),
    "JSON frames, each gzip": framed(gzip.compress(text(ONE)), gzip.compress(text(TWO))),
    "protobuf delimited by varints": delimited(protobuf(ONE), protobuf(TWO)),
    "gzip": gzip.compress(text(ONE)),
    "two gzip members": gzip.compress(text(ONE) + b"\n") + gzip.compress(text(TWO)),
    "zstd": zstd(text(ONE)),
    "two zstd frames": zstd(text(ONE) + b"\n") + zstd(text(TWO)),
    "zstd protobuf": zstd(protobuf(ONE)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_comes_in_the_same(tmp_path: Path, form: str) -> None:
    file = tmp_path / "spans.data"
    file.write_bytes(FORMS[form])
    outcome = take(tmp_path, file)
    assert outcome.troubles == []
    double = any(word in form for word in ("array", "lines", "behind", "frames", "members", "delimited"))
    assert outcome.counts["spans_new"] == (3 if double else 2)
    first, second = rows(tmp_path)[:2]
    assert (first["kind"], first["name"], first["service"], first["environment"]) == (
        "llm",
        "span 1",
        "shop",
        "prod",
    )
    assert (first["input_tokens"], first["status"], first["duration_ms"]) == (7, "ok", 5.0)
    assert "blue" in first["output"]
    told = json.loads(second["attributes"])
    assert {key: told[key] for key in ("deep", "list", "yes", "half")} == {
        "deep": {"a": [1, {"b": None}]}, "list": ["x", "y"], "yes": True, "half": 0.5,
    }  # fmt: skip
    assert told["spanreel.scope"] == {"name": "test.scope", "version": "1.2"}
    assert told["spanreel.otlp"]["kind"] == "client"


def test_importing_twice_changes_nothing(tmp_path: Path) -> None:
    told = {"gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "red"}]}]}
    score = {"gen_ai.evaluation.name": "tone", "gen_ai.evaluation.score.value": 0.5}
    (tmp_path / "a.json").write_bytes(text(ONE))
    (tmp_path / "b.json").write_bytes(
        text(logs(
            log(1, "gen_ai.client.inference.operation.details", values=told),
            log(9, "gen_ai.user.message", body={"content": "early"}, trace=3),
            log(1, "gen_ai.evaluation.result", values=score),
        ))
    )  # fmt: skip
    first = take(tmp_path, tmp_path / "a.json", tmp_path / "b.json")
    assert (first.counts["spans_new"], first.counts["logs_new"], first.counts["scores"]) == (2, 2, 1)
    queries = [f"SELECT * FROM {view} ORDER BY ALL" for view in ("spans", "traces", "scores", "losses")]
    before = [rows(tmp_path, query) for query in queries]
    second = take(tmp_path, tmp_path / "b.json", tmp_path / "a.json", tmp_path / "a.json")
    assert (second.counts["spans_new"], second.counts["spans_known"]) == (0, 4)
    assert (second.counts["logs_new"], second.counts["logs_known"]) == (0, 2)
    assert [rows(tmp_path, query) for query in queries] == before


NO_CONTENT = {key: value for key, value in CHAT.items() if "messages" not in key}
CONTENT = log(
    1,
    "gen_ai.client.inference.operation.details",
    values={
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "colour?"}], "name": None}],
        "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "red"}]}],
    },
)  # fmt: skip


@pytest.mark.parametrize("order", ["span first", "log first", "together"])
def test_content_in_logs_joins_its_span(tmp_path: Path, order: str) -> None:
    files = {"span": traces(span(1, NO_CONTENT)), "log": logs(CONTENT)}
    for name, message in files.items():
        (tmp_path / f"{name}.json").write_bytes(text(message))
    if order == "together":
        take(tmp_path, tmp_path / "log.json", tmp_path / "span.json")
    else:
        for name in ("span", "log") if order == "span first" else ("log", "span"):
            take(tmp_path, tmp_path / f"{name}.json")
    (row,) = rows(tmp_path)
    assert "red" in row["output"]
    assert "colour?" in row["input"]
    assert (row["input_tokens"], row["status"], row["duration_ms"], row["state"]) == (7, "ok", 5.0, "ended")


def test_message_events_of_older_conventions_join_in_order(tmp_path: Path) -> None:
    events = [
        log(1, "gen_ai.system.message", body={"content": "Be brief."}),
        log(1, "gen_ai.user.message", body={"content": "Weather?"}),
        log(1, "gen_ai.assistant.message", body={"tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}]}),
        log(1, "gen_ai.tool.message", body={"id": "c1", "content": "18"}),
        log(1, "", body={"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "18 degrees."}},
            values={"event.name": "gen_ai.choice"}),
    ]  # fmt: skip
    for number, event in enumerate(events):
        event["timeUnixNano"] = str(int(event["timeUnixNano"]) + number)
    (tmp_path / "all.jsonl").write_bytes(text(logs(*events)) + b"\n" + text(traces(span(1, NO_CONTENT))))
    take(tmp_path, tmp_path / "all.jsonl")
    (row,) = rows(tmp_path)
    asked, answered = json.loads(row["input"]), json.loads(row["output"])
    assert [message["role"] for message in asked] == ["system", "user", "assistant", "tool"]
    assert asked[2]["parts"] == [
        {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Paris"}}
    ]
    assert asked[3]["parts"] == [{"type": "tool_call_response", "id": "c1", "response": "18"}]
    assert answered[0]["parts"] == [{"type": "text", "content": "18 degrees."}]
    assert row["finish_reason"] == "stop"


def test_logs_that_wait_do_not_disturb(tmp_path: Path) -> None:
    """They survive ingests, are no running trace, and leave when their span comes."""
    (tmp_path / "log.json").write_bytes(text(logs(CONTENT)))
    (tmp_path / "other.json").write_bytes(text(TWO))
    take(tmp_path, tmp_path / "log.json")
    take(tmp_path, tmp_path / "other.json")
    assert [row["state"] for row in rows(tmp_path, "SELECT state FROM traces")] == ["ended"]
    assert rows(tmp_path, "SELECT * FROM losses") == []
    (tmp_path / "span.json").write_bytes(text(traces(span(1, NO_CONTENT))))
    take(tmp_path, tmp_path / "span.json")
    assert "red" in rows(tmp_path)[0]["output"]


def test_evaluations_become_scores(tmp_path: Path) -> None:
    told = {
        "gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.75,
        "gen_ai.evaluation.score.label": "good", "gen_ai.evaluation.explanation": "on topic",
    }  # fmt: skip
    marked = {
        "openinference.span.kind": "LLM", "annotations.0.annotation.name": "helpful", "annotations.0.annotation.score": 1.0,
        "annotations.0.annotation.annotator_kind": "HUMAN",
    }  # fmt: skip
    (tmp_path / "a.jsonl").write_bytes(
        text(traces(span(1, CHAT), span(2, marked)))
        + b"\n"
        + text(logs(log(1, "gen_ai.evaluation.result", values=told)))
    )
    take(tmp_path, tmp_path / "a.jsonl")
    found = rows(tmp_path, "SELECT name, value, label, comment, source FROM scores ORDER BY name")
    assert [tuple(row.values()) for row in found] == [
        ("helpful", 1.0, None, None, "human"), ("relevance", 0.75, "good", "on topic", "code"),
    ]  # fmt: skip


# -- what is broken -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "damage", "left", "reason"),
    [
        ("cut document", lambda: text(traces(span(1), span(2), span(3)))[:-100], 2, "cut off"),
        ("cut pretty document", lambda: pretty(traces(span(1), span(2), span(3)))[:-200], 2, "cut off"),
        ("cut last line", lambda: text(ONE) + b"\n" + text(TWO)[:300], 2, "cut off"),
        ("bad line between", lambda: text(ONE) + b"\n{oops\n" + text(TWO) + b"\n", 3, "no JSON"),
        ("bad first line", lambda: b"{oops\n" + text(ONE) + b"\n" + text(TWO) + b"\n", 3, "no JSON"),
        ("foreign line", lambda: text(ONE) + b'\n{"a": 1}\n' + text(TWO) + b"\n", 3, "no OTLP"),
        ("cut protobuf", lambda: protobuf(traces(span(1), span(2), span(3)))[:-30], 2, "cut off"),
        ("cut frame", lambda: framed(protobuf(ONE), protobuf(TWO))[:-10], 2, "cut off"),
        ("cut gzip", lambda: gzip.compress(text(ONE) + b"\n" + bytes(20_000), 0)[:-9000], 2, "cut off"),
        ("cut zstd", lambda: zstd(text(ONE) + b"\n") + zstd(text(TWO))[:-20], 2, "cut off"),
        ("not gzip inside", lambda: b"\x1f\x8b" + b"garbage" * 9, 0, "no gzip"),
        ("zip", lambda: b"PK\x03\x04" + bytes(400), 0, "archive"),
        ("tar", lambda: bytes(257) + b"ustar" + bytes(300), 0, "archive"),
        ("picture", lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)), 0, "neither"),
        ("other JSON", lambda: b'{"data": [1, 2]}', 0, "no OTLP"),
        ("text", lambda: b"hello, this is a log file\nwith lines\n", 0, "neither"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named_and_the_rest_comes_in(
    tmp_path: Path, name: str, damage: Callable[[], bytes], left: int, reason: str
) -> None:
    (tmp_path / "broken.bin").write_bytes(damage())
    (tmp_path / "good.json").write_bytes(text(traces(span(50, trace=9))))
    outcome = take(tmp_path, tmp_path / "broken.bin", tmp_path / "good.json")
    assert outcome.counts["spans_new"] == left + 1
    assert {trouble.file for trouble in outcome.troubles} == {str(tmp_path / "broken.bin")}
    assert reason in " ".join(trouble.reason for trouble in outcome.troubles)
    assert all(trouble.offset is not None for trouble in outcome.troubles)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "store")
    (tmp_path / "cut.json").write_bytes(text(ONE)[:-10])
    (tmp_path / "good.json").write_bytes(text(TWO))
    code = cli.main(
        [
            "import",
            "--store",
            store,
            str(tmp_path / "cut.json"),
            str(tmp_path / "good.json"),
            str(tmp_path / "none"),
        ]
    )
    out, err = capsys.readouterr()
    assert code == 1
    assert "2 spans new, 0 already there" in out
    assert f"{tmp_path / 'cut.json'}: at offset " in err
    assert f"{tmp_path / 'none'}: No such file" in err
    assert cli.main(["import", "--store", store, str(tmp_path / "none")]) == 1
    assert capsys.readouterr().out == ""
    assert cli.main(["import", "--json", "--store", store, str(tmp_path / "good.json")]) == 0
    assert json.loads(capsys.readouterr().out)["spans_known"] == 1


def test_directories_patterns_and_standard_input(tmp_path: Path) -> None:
    folder = tmp_path / "exports" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.json.gz").write_bytes(gzip.compress(text(ONE)))
    (folder / "notes.txt").write_text("not OTLP")
    (tmp_path / "exports" / "b.pb").write_bytes(protobuf(TWO))
    outcome = take(tmp_path, tmp_path / "exports")
    assert (outcome.files, outcome.counts["spans_new"], outcome.troubles) == (2, 3, [])
    outcome = take(tmp_path, tmp_path / "exports" / "**" / "*.gz")
    assert outcome.counts["spans_known"] == 2
    piped = subprocess.run(
        [sys.executable, "-m", "spanreel.cli", "import", "--store", str(tmp_path / "store"), "-"],
        input=gzip.compress(text(traces(span(7, trace=7)))), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert piped.returncode == 0, piped.stderr
    assert b"1 spans new" in piped.stdout or b"1 span" in piped.stdout


@pytest.mark.parametrize("pack", [lambda data: gzip.compress(data, 9), zstd], ids=["gzip", "zstd"])
def test_a_decompression_bomb_is_stopped(
    tmp_path: Path, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from spanreel_exporters.otlp import compressed, framing

    monkeypatch.setattr(compressed, "FREE_BYTES", 1 << 20)
    monkeypatch.setattr(compressed, "MAX_RATIO", 100)
    monkeypatch.setattr(framing, "MAX_MESSAGE", 64 << 20)
    (tmp_path / "bomb").write_bytes(pack(text(ONE) + b"\n" + b" " * (32 << 20)))
    outcome = take(tmp_path, tmp_path / "bomb")
    assert outcome.counts["spans_new"] == 2
    assert "times its size" in outcome.troubles[0].reason


def test_deep_and_huge_values_are_cut_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spanreel_exporters.otlp import records

    monkeypatch.setattr(records, "MAX_ATTRIBUTES", 100_000)
    nested: Any = "x"
    for _ in range(200):
        nested = [nested]
    vector = [0.25] * 1536
    values = {
        "deep": nested, "long": "y" * 200_000, "embedding.embeddings.0.embedding.vector": vector,
        "output.value": json.dumps({"data": [{"embedding": vector}]}),
    }  # fmt: skip
    (tmp_path / "a.json").write_bytes(text(traces(span(1, values))))
    assert take(tmp_path, tmp_path / "a.json").troubles == []
    told = json.loads(rows(tmp_path)[0]["attributes"])
    assert told["embedding.embeddings.0.embedding.vector"] == {"dimensions": 1536}
    assert json.loads(told["output.value"]) == {"data": [{"embedding": {"dimensions": 1536}}]}
    assert len(told["long"]) < 70_000
    lost = {row["reason"]: row["count"] for row in rows(tmp_path, "SELECT reason, count FROM losses")}
    assert lost == {"embedding_vector_cut": 2, "otlp_attributes_cut": 1}


def test_secrets_do_not_come_in(tmp_path: Path) -> None:
    key = "sk-proj-" + "Ab1" * 16
    (tmp_path / "a.json").write_bytes(
        text(traces(span(1, {"gen_ai.headers": f'{{"authorization": "Bearer {key}"}}'})))
    )
    take(tmp_path, tmp_path / "a.json")
    assert key not in json.dumps(rows(tmp_path), default=str)


def test_a_span_that_has_not_ended_may_come_again_ended(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(text(traces(span(1, CHAT, endTimeUnixNano="0"))))
    take(tmp_path, tmp_path / "a.json")
    assert rows(tmp_path)[0]["state"] == "interrupted"
    (tmp_path / "b.json").write_bytes(text(traces(span(1, CHAT))))
    take(tmp_path, tmp_path / "b.json")
    assert [row["state"] for row in rows(tmp_path)] == ["ended"]


def test_spans_without_ids_and_placeholders_are_left_out(tmp_path: Path) -> None:
    nameless = {**span(1), "spanId": ""}
    zeros = {**span(2), "traceId": "0" * 32}
    pending = span(3, {"logfire.span_type": "pending_span"})
    (tmp_path / "a.json").write_bytes(text(traces(nameless, zeros, pending, span(4))))
    outcome = take(tmp_path, tmp_path / "a.json")
    assert (outcome.counts["spans_new"], outcome.counts["ignored"]) == (1, 3)


def test_our_own_exported_spans_come_back_as_they_were(tmp_path: Path) -> None:
    values = {
        "spanreel.kind": "tool", "spanreel.input": '{"city":"Paris"}', "spanreel.output": '{"temp":18}',
        "spanreel.tags": '["a"]', "session.id": "s-1",
    }  # fmt: skip
    (tmp_path / "a.json").write_bytes(text(traces(span(1, values), scope="spanreel")))
    take(tmp_path, tmp_path / "a.json")
    (row,) = rows(tmp_path)
    assert (row["kind"], row["dialect"], row["session_id"], row["tags"]) == ("tool", "spanreel", "s-1", ["a"])
    assert (json.loads(row["input"]), json.loads(row["output"])) == ({"city": "Paris"}, {"temp": 18})


def test_the_store_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store").write_text("a file")
    (tmp_path / "a.json").write_bytes(text(ONE))
    assert cli.main(["import", "--store", str(tmp_path / "store"), str(tmp_path / "a.json")]) == 1
    assert "is a file" in capsys.readouterr().err


def test_a_stream_is_read_piece_by_piece() -> None:
    from spanreel_exporters.otlp.framing import messages

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 1, 7) if size and size > 0 else 7)

    for form in FORMS.values():
        troubles: list[str] = []
        found = list(messages(Slow(form), lambda _at, why: troubles.append(why)))
        assert troubles == []
        assert sum(len(one.spans) for one in found) in {2, 3}
