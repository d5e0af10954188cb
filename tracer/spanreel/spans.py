"""The span: what `trace`, `span()` and the wire hook record into; an OpenTelemetry API Span.

Every method is guarded and cheap; after its end a span ignores what it is told, silently. A start record is
in the journal before the user's code runs, an end record before the user's caller sees the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import orjson
from opentelemetry import trace as otel
from opentelemetry.trace.status import Status, StatusCode

from spanreel import clock, failure
from spanreel import context as contexts
from spanreel.guard import guard

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.context.context import Context
    from opentelemetry.util.types import Attributes, AttributeValue

    from spanreel.recorder import Recorder

END = b"end\t1\t%b\t%b\t%d\t%b\t%b\t%b\t%b\t%b\n"


class Span(otel.Span):
    """A span being recorded. `trace_id` and `span_id` are lower-case hex."""

    __slots__ = (
        "_attributes",
        "_ended",
        "_error",
        "_first_ns",
        "_input",
        "_otel_context",
        "_output",
        "_prompts",
        "_recorder",
        "_sdk",
        "_status",
        "_tick",
        "_token",
        "kind",
        "name",
        "parent",
        "span",
        "start_ns",
        "trace",
    )
    recording = True
    flags_below = b""
    """The `flags` cell of spans below this one."""

    trace: bytes
    span: bytes
    parent: bytes
    name: str
    kind: str
    start_ns: int
    _recorder: Recorder
    _attributes: dict[str, Any] | None
    _token: Token[Context] | None
    _input: bytes | None
    _output: bytes | None
    _error: bytes
    _status: bytes
    _first_ns: int
    _ended: bool
    _tick: int
    _prompts: Any
    _otel_context: otel.SpanContext | None
    _sdk: Any

    # -- what a program tells us about the span -------------------------------------------------------

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return self.trace.decode()

    @property
    def span_id(self) -> str:
        """16 hex digits."""
        return self.span.decode()

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute; any value that can be captured is taken."""
        if self._ended:
            return
        if self._attributes is None:
            self._attributes = {key: value}
        else:
            self._attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes."""
        if self._ended:
            return
        with guard("span.set_attributes"):
            if self._attributes is None:
                self._attributes = dict(attributes)
            else:
                self._attributes.update(attributes)

    def set(self, **attributes: Any) -> Span:
        """Set attributes by keyword; returns the span."""
        self.set_attributes(attributes)
        return self

    def set_input(self, value: object) -> Span:
        """Replace what is recorded as the input."""
        if not self._ended and self._recorder.full:
            with guard("span.set_input"):
                self._input = self._recorder.capture(value)
        return self

    def set_output(self, value: object) -> Span:
        """Replace what is recorded as the output (a returned value no longer does)."""
        if not self._ended and self._recorder.full:
            with guard("span.set_output"):
                self._output = self._recorder.capture(value)
        return self

    def set_model(self, name: str, *, provider: str | None = None, response: str | None = None) -> Span:
        """Name the model that is called; `provider` as in `gen_ai.provider.name`."""
        self.set_attribute("gen_ai.request.model", name)
        if provider is not None:
            self.set_attribute("gen_ai.provider.name", provider)
        if response is not None:
            self.set_attribute("gen_ai.response.model", response)
        return self

    def set_usage(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        cost_usd: float | None = None,
    ) -> Span:
        """Report token counts (cache included in input, reasoning in output) and, if known, the cost."""
        for key, value in (
            ("gen_ai.usage.input_tokens", input_tokens),
            ("gen_ai.usage.output_tokens", output_tokens),
            ("gen_ai.usage.cache_read.input_tokens", cache_read_tokens),
            ("gen_ai.usage.cache_write.input_tokens", cache_write_tokens),
            ("gen_ai.usage.reasoning.output_tokens", reasoning_tokens),
            ("spanreel.cost_usd", cost_usd),
        ):
            if value is not None:
                self.set_attribute(key, value)
        return self

    def set_messages(self, *, input: object = None, output: object = None) -> Span:  # noqa: A002 - the contract's name
        """Record the conversation of a call that is not HTTP; OpenAI-style or canonical messages."""
        if not self._recorder.full:
            return self
        for key, value in (("gen_ai.input.messages", input), ("gen_ai.output.messages", output)):
            if value is not None:
                self.set_attribute(key, value)
        return self

    def set_documents(self, documents: object) -> Span:
        """Record what a retrieval found; the shapes of `documents.py` are understood."""
        if not self._ended and self._recorder.full:
            with guard("span.set_documents"):
                from spanreel.documents import adapt

                found = adapt(documents)
                self.set_attribute("spanreel.documents", found if found is not None else documents)
        return self

    def first_token(self) -> Span:
        """Mark the moment at which the first token arrived; only the first call counts."""
        if not self._ended and not self._first_ns:
            self._first_ns = self.start_ns + clock.tick() - self._tick
        return self

    def score(self, name: str, value: float | None = None, **details: Any) -> None:
        """Score this span; see `spanreel.score`."""
        from spanreel.annotate import score

        score(name, value, trace_id=self.trace_id, span_id=self.span_id, **details)

    def patch(self, attributes: Mapping[str, Any]) -> None:
        """Write attributes at once, so that they are seen while the span still runs."""
        with guard("span.patch"):
            recorder = self._recorder
            text = recorder.capture(dict(attributes))
            recorder.write(b"patch\t1\t%b\t%b\t%d\t%b\n" % (self.trace, self.span, clock.now(), text))

    def note_cut(self, cell: str, text: bytes) -> None:
        """Say which cell was cut and how long it was, if the capture cut it."""
        cut = getattr(text, "cut", None)
        if cut and not self._ended:
            known = (self._attributes or {}).get("spanreel.truncated", {})
            self.set_attribute("spanreel.truncated", {**known, cell: cut})

    # -- OpenTelemetry's Span -------------------------------------------------------------------------

    def get_span_context(self) -> otel.SpanContext:
        """The OpenTelemetry identity of this span."""
        if self._otel_context is None:
            self._otel_context = otel.SpanContext(
                int(self.trace, 16), int(self.span, 16), is_remote=False, trace_flags=otel.TraceFlags(1)
            )
        return self._otel_context

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Add an event; kept in the attribute `spanreel.events`."""
        if not self._ended:
            event = {"name": name, "time_ns": timestamp or clock.now(), "attributes": dict(attributes or {})}
            self._append("spanreel.events", event)

    def add_link(self, context: otel.SpanContext, attributes: Attributes = None) -> None:
        """Add a link; kept in the attribute `spanreel.links`."""
        if not self._ended and context is not None:
            link = {
                "trace_id": f"{context.trace_id:032x}",
                "span_id": f"{context.span_id:016x}",
                "attributes": dict(attributes or {}),
            }
            self._append("spanreel.links", link)

    def _append(self, key: str, item: dict[str, Any]) -> None:
        items = (self._attributes or {}).get(key)
        if isinstance(items, list):
            items.append(item)
        else:
            self.set_attribute(key, [item])

    def update_name(self, name: str) -> None:
        """Rename the span."""
        if not self._ended:
            self.name = name
            self.set_attribute("spanreel.name", name)

    def is_recording(self) -> bool:
        """True until the span has ended."""
        return not self._ended

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set ok or error; with error, `description` is kept as the message."""
        if self._ended:
            return
        code = status.status_code if isinstance(status, Status) else status
        text = status.description if isinstance(status, Status) else description
        if code is StatusCode.ERROR:
            self._status = b"error"
            if not self._error:
                with guard("span.set_status"):
                    self._error = self._recorder.capture({"type": "error", "message": text or ""})
        elif code is StatusCode.OK:
            self._status, self._error = b"ok", b""

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, AttributeValue] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Record an exception and mark the span as failed."""
        del timestamp, escaped
        if self._ended:
            return
        if attributes:
            self.set_attributes(attributes)
        self.fail_with(exception)

    def fail_with(self, error: BaseException) -> None:
        """Take type, message and stack of `error`; the span's status becomes error.

        A `SystemExit` that reports success is the end of a program that went well, and no error. Nor is a
        cancellation (a reader who leaves, a task that lost its race): the span's state becomes abandoned.
        """
        with guard("span.fail"):
            if isinstance(error, SystemExit) and failure.is_success(error):
                if self._status == b"unset":
                    self._status = b"ok"
                return
            self._error = self._recorder.capture_error(failure.describe(error))
            if failure.is_cancellation(error):
                self.set_attribute("spanreel.state", "abandoned")
            else:
                self._status = b"error"

    def mark_prompts(self, request: bytes) -> None:
        """Name the prompts (`spanreel.prompt`) whose rendered text stands in this JSON request."""
        with guard("span.prompts"):
            for texts, used in self._prompts or ():
                if any(text in request for text in texts):
                    self.set_attributes(used)

    # -- the end --------------------------------------------------------------------------------------

    def end(self, end_time: int | None = None) -> None:
        """End the span (OpenTelemetry's name); a second end is ignored."""
        with guard("span.end"):
            self.close(b"", end_time)

    def close(self, output: bytes, end_ns: int | None = None) -> None:
        """Write the end record. `output` is JSON text and yields to `set_output()`."""
        if self._ended:
            return
        self._ended = True
        recorder = self._recorder
        if recorder.forked:
            return  # a copy of the parent's span in a forked child: the parent ends it
        attributes = self._attributes
        text = recorder.capture_attributes(attributes) if attributes else b""
        if self._input is not None:
            given = b'{"spanreel.input":' + self._input + b"}"
            text = given if len(text) <= 2 else text[:-1] + b"," + given[1:]
        if end_ns is None:
            end_ns = self.start_ns + clock.tick() - self._tick
        recorder.write(
            END
            % (
                self.trace,
                self.span,
                end_ns,
                self._status,
                b"%d" % self._first_ns if self._first_ns else b"",
                output if self._output is None else self._output,
                text,
                self._error,
            )
        )
        if self._sdk is not None:
            recorder.on_end(self, output if self._output is None else self._output, end_ns)

    def finish(
        self,
        *,
        status: str | None = None,
        error: BaseException | None = None,
        error_type: str | None = None,
        error_message: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        first_ns: int | None = None,
        output_json: bytes = b"",
        state: str | None = None,
        end_ns: int | None = None,
    ) -> None:
        """End the span with everything known at once (the wire hook's way)."""
        with guard("span.finish"):
            if self._ended:
                return
            if attributes:
                self.set_attributes(attributes)
            if state is not None:
                self.set_attribute("spanreel.state", state)
            if first_ns:
                self._first_ns = first_ns
            if error is not None:
                self.fail_with(error)
            elif error_type is not None:
                self._error = self._recorder.capture_error(
                    {"type": error_type, "message": error_message or ""}
                )
                self._status = b"error"
            if status is not None:
                self._status = status.encode()
            self.close(output_json, end_ns)

    def record_attempt(self, seq: int, meta: Mapping[str, Any], request: bytes, response: bytes) -> None:
        """Write one HTTP exchange of this span; the bytes are redacted already, texts are UTF-8 or base64."""
        with guard("span.attempt"):
            self._recorder.write(
                b"attempt\t1\t%b\t%b\t%d\t%b\t%b\t%b\n"
                % (self.trace, self.span, seq, orjson.dumps(dict(meta)), _quoted(request), _quoted(response))
            )

    def __enter__(self) -> Self:
        if self._token is None and self.recording:
            self._token = contexts.attach(self, otel=self._recorder.shows_otel())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            contexts.detach(token)
        with guard("span.exit"):
            if error is not None and not isinstance(error, GeneratorExit):
                self.fail_with(error)
            elif self._status == b"unset":
                self._status = b"ok"
            self.close(b"")

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


def _quoted(data: bytes) -> bytes:
    return orjson.dumps(data.decode("utf-8", "replace"))


class ForeignSpan(Span):
    """Stands in for a span of another system or another store: spans below it are local roots."""

    __slots__ = ()
    flags_below = b"f"


class NoopSpan(Span):
    """What is handed out where nothing is recorded: takes everything, keeps nothing."""

    __slots__ = ()
    recording = False

    def close(self, output: bytes, end_ns: int | None = None) -> None:
        """Nothing to write."""

    def fail_with(self, error: BaseException) -> None:
        """Nothing to keep."""

    def patch(self, attributes: Mapping[str, Any]) -> None:
        """Nothing to write."""

    def finish(self, **_details: Any) -> None:
        """Nothing to write."""

    def record_attempt(self, seq: int, meta: Mapping[str, Any], request: bytes, response: bytes) -> None:
        """Nothing to write."""

    def score(self, name: str, value: float | None = None, **details: Any) -> None:
        """Nothing to score."""

    def get_span_context(self) -> otel.SpanContext:
        """OpenTelemetry's invalid context."""
        return otel.INVALID_SPAN_CONTEXT

    def is_recording(self) -> bool:
        """Never."""
        return False


def _make_noop() -> NoopSpan:
    span = NoopSpan.__new__(NoopSpan)
    span.trace, span.span, span.parent = b"0" * 32, b"0" * 16, b""
    span.name, span.kind, span.start_ns = "", "span", 0
    span._attributes = span._token = span._input = span._output = span._sdk = None
    span._otel_context = span._prompts = None
    span._error, span._status = b"", b"unset"
    span._first_ns = span._tick = 0
    span._ended = True
    return span


NOOP = _make_noop()
