"""Spans and log records of OTLP -> journal records: the one place that decides what of them is kept.

A span becomes a `start` and an `end` record with its attributes as they came; what OTLP says beside them stands
in `spanreel.scope`, `spanreel.events` and `spanreel.otlp` (see analysis/dialects/foreign.py). Of log records,
those of the GenAI conventions are kept: content joins its span as a `patch`, in whichever order the two come;
an evaluation becomes a `score`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

import orjson

from spanreel.analysis.dialects.foreign import EVENTS, LOG, OTLP, SCOPE
from spanreel.analysis.dialects.reading import dump, mapping, number, text, unflatten
from spanreel.redaction import Redactor
from spanreel_exporters.otlp.model import OtlpLog, OtlpSpan
from spanreel_exporters.otlp.vectors import without_vectors

MAX_ATTRIBUTES: Final = 16 << 20
"""Bytes of a span's attributes; beyond it the longest texts are cut."""
CUT_TEXT: Final = 64 << 10
KINDS: Final = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_STATUS: Final = {1: b"ok", 2: b"error"}
_REMOTE: Final = 0x300
"""Bits of `flags`: whether it is known that the parent is remote, and that it is."""
EVALUATION: Final = "gen_ai.evaluation.result"
Lose = Callable[[str], None]


class Recorder:
    """Makes records; `lose(reason)` counts what had to be cut."""

    def __init__(self, redactor: Redactor, lose: Lose) -> None:
        self._redact = redactor.json_bytes
        self._lose = lose

    def span(self, span: OtlpSpan) -> list[bytes]:
        """The records of a span, its evaluations included; empty for a placeholder of one still to come."""
        attributes = span.attributes
        if attributes.get("logfire.span_type") == "pending_span":
            return []
        if span.scope.get("name") == "spanreel" and "spanreel.kind" in attributes:
            return self._own(span)
        kept = without_vectors(attributes, self._lose)
        kept[SCOPE] = span.scope
        if span.events:
            kept[EVENTS] = [
                {**event, "attributes": without_vectors(event["attributes"], self._lose)}
                for event in span.events
            ]
        kept[OTLP] = _beside(span)
        records = [self._start(span, b"span", b"", self._json(kept))]
        if span.end_ns:
            records.append(self._end(span, b"", b""))
        return records + self._annotations(span)

    def _start(self, span: OtlpSpan, kind: bytes, given: bytes, attributes: bytes) -> bytes:
        foreign = b"f" if span.flags & _REMOTE == _REMOTE and span.parent_id else b""
        return b"\t".join((
            b"start", b"1", span.trace_id.encode(), span.span_id.encode(), span.parent_id.encode(), foreign,
            b"%d" % span.start_ns, kind, self._redact(_dumps(span.name)), given, attributes,
        )) + b"\n"  # fmt: skip

    def _end(self, span: OtlpSpan, output: bytes, error: bytes) -> bytes:
        return b"\t".join((
            b"end", b"1", span.trace_id.encode(), span.span_id.encode(), b"%d" % span.end_ns,
            _STATUS.get(span.status, b"unset"), b"", output, b"", error,
        )) + b"\n"  # fmt: skip

    def _own(self, span: OtlpSpan) -> list[bytes]:
        """A span of our own recorder that came through somebody's exporter: as it was recorded."""
        attributes = dict(span.attributes)
        kind = str(attributes.pop("spanreel.kind")).encode("ascii", "replace")
        given = self._redact(_body(attributes.pop("spanreel.input", None)))
        output = self._redact(_body(attributes.pop("spanreel.output", None)))
        error = b""
        if span.status == 2:
            told: dict[str, Any] = next(
                (event["attributes"] for event in span.events if event["name"] == "exception"), {}
            )
            error = self._redact(_dumps({
                "type": attributes.get("error.type") or told.get("exception.type"),
                "message": span.status_message or told.get("exception.message"),
                "stacktrace": told.get("exception.stacktrace"),
            }))  # fmt: skip
        kept = {name: _meant(name, value) for name, value in attributes.items()}
        kind = b"".join(kind.split())
        return [self._start(span, kind, given, self._json(kept)), self._end(span, output, error)]

    def _json(self, attributes: dict[str, Any]) -> bytes:
        data = _dumps(attributes)
        if len(data) > MAX_ATTRIBUTES:
            self._lose("otlp_attributes_cut")
            data = _dumps(_shortened(attributes))
        return self._redact(data)

    def _annotations(self, span: OtlpSpan) -> list[bytes]:
        """OpenInference's evaluations and annotations of a span as scores."""
        found = []
        for family, one in (("annotations", "annotation"), ("evaluations", "evaluation")):
            told = (
                unflatten(span.attributes, family)
                if any(k.startswith(family) for k in span.attributes)
                else None
            )
            for item in told if isinstance(told, list) else ():
                inner = mapping(mapping(item).get(one)) or mapping(item)
                found.append(self._score(
                    span.trace_id, span.span_id, span.end_ns or span.start_ns, inner.get("name"), inner.get("score"),
                    inner.get("label"), inner.get("explanation"), str(inner.get("annotator_kind") or ""), inner.get("identifier"),
                ))  # fmt: skip
        return [record for record in found if record]

    def log(self, log: OtlpLog) -> bytes:
        """The record of a log record; empty where it is none of the GenAI conventions, or belongs to no span."""
        name = log.event_name or str(log.attributes.get("event.name") or "")
        if not name.startswith("gen_ai.") or not log.trace_id:
            return b""
        if name == EVALUATION:
            get = log.attributes
            return self._score(
                log.trace_id, log.span_id or None, log.time_ns, get.get("gen_ai.evaluation.name"),
                get.get("gen_ai.evaluation.score.value"), get.get("gen_ai.evaluation.score.label"),
                get.get("gen_ai.evaluation.explanation"), "", None,
            )  # fmt: skip
        if not log.span_id:
            return b""
        body = self._json({
            LOG + log_mark(log, name): {
                "name": name, "time_ns": log.time_ns, "body": log.body,
                "attributes": without_vectors(log.attributes, self._lose), "scope": log.scope,
            }
        })  # fmt: skip
        return b"\t".join((
            b"patch", b"1", log.trace_id.encode(), log.span_id.encode(), b"%d" % log.time_ns, body,
        )) + b"\n"  # fmt: skip

    def _score(
        self, trace: str, span: str | None, at: int, name: object, value: object, label: object, comment: object,
        kind: str, author: object,
    ) -> bytes:  # fmt: skip
        if not isinstance(name, str) or not name:
            return b""
        told = {
            "trace_id": trace, "span_id": span, "name": name, "value": number(value), "label": text(label),
            "comment": text(comment), "source": _SOURCES.get(kind.upper(), "code"), "author": text(author), "created_ns": at,
        }  # fmt: skip
        told["score_id"] = hashlib.sha256(_dumps(told)).hexdigest()[:32]
        return b"score\t1\t" + self._redact(_dumps(told)) + b"\n"


_SOURCES: Final = {"HUMAN": "human", "LLM": "judge", "CODE": "code"}


def log_mark(log: OtlpLog, name: str) -> str:
    """What tells a log record from the others of its span: the same record has the same mark in every file."""
    content = _dumps([name, log.time_ns, log.body, log.attributes])
    return hashlib.sha256(content).hexdigest()[:16]


def _beside(span: OtlpSpan) -> dict[str, Any]:
    """What OTLP says of a span beside its attributes; only what is said."""
    told: dict[str, Any] = {
        "kind": KINDS.get(span.kind),
        "resource": span.resource or None,
        "status_message": span.status_message or None,
        "links": span.links or None,
        "trace_state": span.trace_state or None,
        "dropped": span.dropped or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _body(value: object) -> bytes:
    """A body that our own exporter wrote as text of JSON."""
    if value is None:
        return b""
    if isinstance(value, str):
        try:
            return _dumps(orjson.loads(value))
        except ValueError:
            pass
    return _dumps(value)


def _meant(name: str, value: object) -> object:
    """A value of ours that the attribute types of OpenTelemetry made text of JSON."""
    if isinstance(value, str) and value[:1] in {"{", "["} and name.startswith(("spanreel.", "gen_ai.")):
        try:
            return orjson.loads(value)
        except ValueError:
            return value
    return value


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= CUT_TEXT else f"{value[:CUT_TEXT]}… ({len(value):,} characters)"
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value[:10_000]]
    return value


def _dumps(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError):  # a lone surrogate, an integer beyond 64 bits
        return dump(_writable(value)).encode()


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_writable(str(key)): _writable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_writable(item) for item in value]
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return str(value)
    return value
