"""The recorder's own spans: `@trace`, `span()`, the setters of the API, and calls seen on the wire.

Attribute names are the OpenTelemetry GenAI conventions' and `spanreel.*`. Tokens and cost are not
read on agents and chains: what they report is a total of what is below them, and stays in their attributes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson

from spanreel.analysis.pricing import CONTAINER_KINDS, REPORTED
from spanreel.analysis.record import Canonical, Document, RawSpan
from spanreel.analysis.timings import first_visible_ms, inter_token_p95_ms
from spanreel.analysis.usage_buckets import by_total

if TYPE_CHECKING:
    from spanreel.protocols.call import Call

NAME: Final = "spanreel"
_WIRE_KEY: Final = "spanreel.protocol"
_INPUT_MESSAGES: Final = "gen_ai.input.messages"
_OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
_DOCUMENTS: Final = "spanreel.documents"
_DETAILS: Final = (
    ("cache_write_1h_tokens", "spanreel.usage.cache_write_1h_tokens"),
    ("audio_input_tokens", "gen_ai.usage.audio.input_tokens"),
    ("audio_output_tokens", "gen_ai.usage.audio.output_tokens"),
    ("audio_cache_read_tokens", "gen_ai.usage.audio.cache_read.input_tokens"),
    ("image_input_tokens", "gen_ai.usage.image.input_tokens"),
    ("image_output_tokens", "gen_ai.usage.image.output_tokens"),
    ("search_units", "spanreel.usage.search_units"),
    ("web_searches", "spanreel.usage.web_searches"),
)
"""Fields that few calls have -> the attribute that tells them."""
_DETAIL_NAMES: Final = frozenset(name for _, name in _DETAILS)
_LITELLM_COST: Final = "x-litellm-response-cost"
_MAX_COUNT: Final = (1 << 31) - 1
_MAX_NS: Final = (1 << 63) - 1


def matches(raw: RawSpan) -> bool:
    """Everything that the recorder's process wrote itself."""
    del raw
    return True


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read a span of our own recorder."""
    row = Canonical(
        kind=raw.kind, name=raw.name, input=raw.input, output=raw.output,
        error_type=raw.error_type, error_message=raw.error_message,
    )  # fmt: skip
    attributes = raw.attributes
    if raw.kind == "tool":
        row.tool_name = _text(attributes.get("gen_ai.tool.name")) or raw.name
    first_ns = raw.first_ns
    call: Call | None = None
    if attributes:
        _read_common(row, attributes)
        first_ns = first_ns or _count(attributes.get("spanreel.first_token_ns"), _MAX_NS)
        _read_model(row, attributes)
        if raw.kind not in CONTAINER_KINDS:
            _read_usage(row, attributes)
    if raw.attempts:
        call = _fold(raw, lose)
    if call is not None:
        first_ns = first_ns or _first_ns(raw)
        _read_call(row, call)
    visible = call.first_visible_ns if call is not None else None
    if visible is None:
        visible = attributes.get("spanreel.first_visible_ns")
    if visible is not None:
        row.first_visible_ms = first_visible_ms(raw.start_ns, visible)
    if raw.attempts and row.cost_usd is None:
        _read_gateway_cost(row, raw)
    row.attributes = _attributes_text(raw, row, call)
    _timing(row, raw, first_ns)
    return row


def _read_common(row: Canonical, attributes: dict[str, Any]) -> None:
    """What any span may carry: session, user, tags, metadata, release, prompt."""
    get = attributes.get
    row.session_id = _text(get("session.id")) or _text(get("gen_ai.conversation.id"))
    row.user_id = _text(get("user.id"))
    row.environment = _text(get("deployment.environment.name"))
    row.release = _text(get("service.version"))
    row.prompt_name = _text(get("gen_ai.prompt.name"))
    row.prompt_version = _text(get("gen_ai.prompt.version"))
    tags = get("spanreel.tags")
    if isinstance(tags, (list, tuple)):
        row.tags = [str(tag) for tag in tags]
    metadata = get("spanreel.metadata")
    if metadata is not None:
        row.metadata = _dump(metadata)


def _read_model(row: Canonical, attributes: dict[str, Any]) -> None:
    """The model as told through the API (`set_model`)."""
    get = attributes.get
    row.provider = _text(get("gen_ai.provider.name"))
    row.request_model = _text(get("gen_ai.request.model"))
    row.response_model = _text(get("gen_ai.response.model"))
    reasons = get("gen_ai.response.finish_reasons")
    row.finish_reason = _text(reasons[0]) if isinstance(reasons, list) and reasons else _text(reasons or None)


def _read_usage(row: Canonical, attributes: dict[str, Any]) -> None:
    """Tokens and cost as told through the API (`set_usage`)."""
    get = attributes.get
    row.input_tokens = _count(get("gen_ai.usage.input_tokens"))
    row.output_tokens = _count(get("gen_ai.usage.output_tokens"))
    row.cache_read_tokens = _count(get("gen_ai.usage.cache_read.input_tokens"))
    row.cache_write_tokens = _count(
        get("gen_ai.usage.cache_write.input_tokens", get("gen_ai.usage.cache_creation.input_tokens"))
    )
    row.reasoning_tokens = _count(get("gen_ai.usage.reasoning.output_tokens"))
    if not _DETAIL_NAMES.isdisjoint(attributes):
        for field, name in _DETAILS:
            if name in attributes:
                setattr(row, field, _count(attributes[name]))
    row.service_tier = _text(get("openai.response.service_tier") or get("openai.request.service_tier"))
    cost = get("spanreel.cost_usd")
    if isinstance(cost, (int, float)) and not isinstance(cost, bool) and cost == cost:  # noqa: PLR0124 - NaN
        row.cost_usd, row.cost_source = float(cost), REPORTED


def _fold(raw: RawSpan, lose: Callable[[str], None]) -> Call | None:
    """The call that the exchanges amount to; None (counted) when that cannot be read."""
    protocol = raw.attributes.get(_WIRE_KEY) or raw.attempts[-1].meta.get("protocol")
    try:
        from spanreel.protocols.table import fold

        return fold(str(protocol), sorted(raw.attempts, key=lambda attempt: attempt.seq))
    except Exception:
        lose("fold_failed")
        return None


def _first_ns(raw: RawSpan) -> int | None:
    """When the first bytes of the answering exchange's body came."""
    last = max(raw.attempts, key=lambda attempt: attempt.seq)
    return _count(last.meta.get("first_ns"), _MAX_NS)


def _read_call(row: Canonical, call: Call) -> None:
    """What the wire says; it wins over attributes where it says anything."""
    row.provider = call.provider or row.provider
    row.request_model = call.request_model or row.request_model
    row.response_model = call.response_model or row.response_model
    row.response_id = call.response_id
    row.finish_reason = (call.finish_reasons[0] if call.finish_reasons else None) or row.finish_reason
    usage = call.usage
    if usage is not None:
        row.input_tokens = _first(usage.input_tokens, row.input_tokens)
        row.output_tokens = _first(usage.output_tokens, row.output_tokens)
        row.cache_read_tokens = _first(usage.cache_read_tokens, row.cache_read_tokens)
        row.cache_write_tokens = _first(usage.cache_write_tokens, row.cache_write_tokens)
        row.reasoning_tokens = _first(usage.reasoning_tokens, row.reasoning_tokens)
        for field, _ in _DETAILS:
            told = getattr(usage, field)
            if told is not None:
                setattr(row, field, _count(told))
        if usage.raw:
            row.usage_mark = by_total(usage.raw, row)
        if usage.cost_usd is not None and row.cost_usd is None:
            row.cost_usd, row.cost_source = usage.cost_usd, REPORTED
    row.service_tier = _tier(call) or row.service_tier
    if call.documents:
        row.documents = documents(call.documents)
    if call.input_messages:
        row.input = _dump(call.input_messages)
    if call.output_messages:
        row.output = _dump(call.output_messages)
    row.error_type = row.error_type or call.error_type
    row.error_message = row.error_message or call.error_message


def _read_gateway_cost(row: Canonical, raw: RawSpan) -> None:
    """What a LiteLLM proxy says that a call cost: a header of its answers (proxy/common_request_processing.py).

    It says 0 where it does not know: for models without a price, and for streams, whose header goes out first.
    """
    headers = raw.attempts[-1].meta.get("response_headers")
    told = headers.get(_LITELLM_COST) if isinstance(headers, dict) else None
    if told is None:
        return
    try:
        cost = float(told)
    except (TypeError, ValueError):
        return
    if 0 < cost < math.inf:
        row.cost_usd, row.cost_source = cost, REPORTED


def _tier(call: Call) -> str | None:
    """How the call was processed, in the provider's word: what the answer says, else what was asked for."""
    raw = call.usage.raw if call.usage is not None else {}
    if raw.get("speed") == "fast":  # Anthropic's fast mode has rates of its own
        return "fast"
    told = (
        call.parameters.get("openai.response.service_tier")
        or raw.get("service_tier")
        or raw.get("trafficType")
        or call.parameters.get("openai.request.service_tier")
    )
    return told.lower() if isinstance(told, str) else None


def _attributes_text(raw: RawSpan, row: Canonical, call: Call | None) -> str:
    """The attributes as stored: as received, less what has columns or tables of its own, plus the call's."""
    attributes = raw.attributes
    special = _DOCUMENTS in attributes or _INPUT_MESSAGES in attributes or _OUTPUT_MESSAGES in attributes
    if call is None and not special:
        if raw.attributes_json or not attributes:
            return raw.attributes_json or "{}"
        return _dump(attributes)
    kept = dict(attributes)
    if isinstance(kept.get(_DOCUMENTS), list):
        row.documents = documents(kept.pop(_DOCUMENTS))
    if _INPUT_MESSAGES in kept:
        row.input = _swap(kept, _INPUT_MESSAGES, row.input, "spanreel.input")
    if _OUTPUT_MESSAGES in kept:
        row.output = _swap(kept, _OUTPUT_MESSAGES, row.output, "spanreel.output")
    if call is not None:
        _add_call_attributes(kept, call)
    return _dump(kept)


def _swap(kept: dict[str, Any], key: str, recorded: str | None, spare: str) -> str:
    """Messages become the body; what was recorded there before is kept as an attribute."""
    messages = kept.pop(key)
    if recorded:
        kept[spare] = _fragment(recorded)
    return messages if isinstance(messages, str) else _dump(messages)


def _fragment(recorded: str) -> object:
    """A recorded body inside attributes: as it stands where it is JSON, else as text."""
    try:
        orjson.loads(recorded)
    except ValueError:
        return recorded
    return orjson.Fragment(recorded)


def _add_call_attributes(kept: dict[str, Any], call: Call) -> None:
    """The conventions' attributes for what the wire told."""
    told: dict[str, Any] = {
        "gen_ai.operation.name": call.operation or None,
        "gen_ai.provider.name": call.provider or None,
        "gen_ai.request.model": call.request_model,
        "gen_ai.response.model": call.response_model,
        "gen_ai.response.id": call.response_id,
        "gen_ai.request.stream": True if call.stream else None,
        "gen_ai.response.finish_reasons": list(call.finish_reasons) or None,
        "spanreel.first_visible_ns": call.first_visible_ns,
        **call.parameters,
        "gen_ai.system_instructions": list(call.system_instructions) or None,
        "gen_ai.tool.definitions": list(call.tool_definitions) or None,
    }
    if call.usage is not None:
        told["spanreel.usage"] = dict(call.usage.raw) or None
    kept.update((key, value) for key, value in told.items() if value is not None)


def documents(values: Sequence[Any]) -> list[Document]:
    """`spanreel.documents` (dicts of id, score, content, metadata) as rows, in the order given."""
    found = []
    for rank, value in enumerate(values):
        item = value if isinstance(value, dict) else {"content": value}
        score, content, metadata = item.get("score"), item.get("content"), item.get("metadata")
        found.append(
            Document(
                rank=rank,
                id=None if item.get("id") is None else str(item["id"]),
                score=float(score) if isinstance(score, (int, float)) else None,
                content=content if content is None or isinstance(content, str) else _dump(content),
                metadata=None if metadata is None else _dump(metadata),
            )
        )
    return found


def _timing(row: Canonical, raw: RawSpan, first_ns: int | None) -> None:
    """Time to first token, and between tokens, in ms."""
    if first_ns is not None and first_ns >= raw.start_ns:
        row.ttft_ms = (first_ns - raw.start_ns) / 1e6
    if raw.attempts:
        row.inter_token_p95_ms = inter_token_p95_ms(max(raw.attempts, key=lambda attempt: attempt.seq))


def _dump(value: object) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _text(value: object) -> str | None:
    return None if value is None else value if isinstance(value, str) else str(value)


def _count(value: object, most: int = _MAX_COUNT) -> int | None:
    if type(value) is int:
        return value if 0 <= value <= most else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if 0 <= value <= most else None


def _first(value: int | None, fallback: int | None) -> int | None:
    return fallback if value is None else _count(value)
