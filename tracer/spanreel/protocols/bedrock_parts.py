"""Content blocks of Bedrock's Converse API -> parts of the convention; its stop reasons and token counts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from spanreel.protocols.call import Usage
from spanreel.protocols.shapes import integer, mapping, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spanreel.protocols.call import Message

Part = dict[str, Any]
STOP_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}
"""StopReason of botocore's model of the service -> the convention's word; others stay as they are."""

_MODEL = re.compile(r"/model/([^/]+)/[a-z-]+$")


def model(path: str) -> str | None:
    """Return the model's id (or the ARN of an inference profile, a prompt, ...) that a path names."""
    found = _MODEL.search(path)
    return unquote(found[1]) if found else None


def finish(reason: object) -> str | None:
    """Return the convention's finish reason."""
    return STOP_REASONS.get(reason, reason) if isinstance(reason, str) and reason else None


def message(item: object) -> Message:
    """Return a message of the request or of the response; results of tools keep the role `user` they come in."""
    source = mapping(item)
    return {"role": text(source.get("role")) or "user", "parts": parts(source.get("content"))}


def parts(content: object) -> list[Part]:
    """Return the parts of a list of blocks; a cache point is none."""
    if isinstance(content, str):
        return [{"type": "text", "content": content}] if content else []
    return [_part(mapping(block)) for block in sequence(content) if "cachePoint" not in mapping(block)]


def tool_definitions(config: object) -> tuple[Part, ...]:
    """Return the tools on offer of a `toolConfig`."""
    found: list[Part] = []
    for tool in sequence(mapping(config).get("tools")):
        spec = mapping(mapping(tool).get("toolSpec"))
        if spec:
            rest = {key: value for key, value in spec.items() if key != "inputSchema"}
            schema = mapping(spec.get("inputSchema")).get("json")
            found.append({"type": "function", **rest, **present({"parameters": schema})})
        elif mapping(tool).get("systemTool"):
            found.append({"type": "system", **mapping(mapping(tool)["systemTool"])})
    return tuple(found)


def usage(raw: object) -> Usage | None:
    """Read a `usage` of Converse. Cached tokens stand beside `inputTokens`, and are added to it."""
    counts = mapping(raw)
    fresh, output = _count(counts, "inputTokens"), _count(counts, "outputTokens")
    read = _count(counts, "cacheReadInputTokens", "cacheReadInputTokenCount")
    written = _count(counts, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    hour = [
        _count(detail, "inputTokens")
        for detail in map(mapping, sequence(counts.get("cacheDetails")))
        if detail.get("ttl") == "1h"
    ]
    return told(fresh, output, read, written, hour=sum(n or 0 for n in hour) if hour else None, raw=counts)


def told(
    fresh: int | None,
    output: int | None,
    read: int | None,
    written: int | None,
    *,
    hour: int | None = None,
    raw: Mapping[str, Any],
) -> Usage | None:
    """Return the counts inclusive, of Bedrock's exclusive ones; None where there are none."""
    if fresh is None and output is None:
        return None
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=hour,
        raw=dict(raw),
    )


def _count(counts: Mapping[str, Any], *names: str) -> int | None:
    found = (integer(counts.get(name)) for name in names)
    return next((value for value in found if value is not None and value >= 0), None)


def _part(block: Mapping[str, Any]) -> Part:
    for key, value in block.items():
        reader = _READERS.get(key)
        if reader is not None:
            read = reader(value)
            if read is not None:
                return read
    kind = next(iter(block), "unknown")
    return {"type": kind, **(mapping(block.get(kind)) or {"content": block.get(kind)})}


def _text(value: object) -> Part | None:
    content = text(value)
    return None if content is None else {"type": "text", "content": content}


def _guarded(value: object) -> Part | None:
    told_text = mapping(mapping(value).get("text"))
    found = _text(told_text.get("text"))
    if found is None:
        return _media("image")(mapping(value).get("image"))
    return {**found, **present({"qualifiers": told_text.get("qualifiers") or None})}


def _cited(value: object) -> Part | None:
    source = mapping(value)
    content = "".join(text(mapping(item).get("text")) or "" for item in sequence(source.get("content")))
    return {"type": "text", "content": content, **present({"citations": source.get("citations") or None})}


def _reasoning(value: object) -> Part | None:
    source = mapping(value)
    said = mapping(source.get("reasoningText"))
    if said:
        signature = text(said.get("signature")) or None
        return {
            "type": "reasoning",
            "content": text(said.get("text")) or "",
            **present({"signature": signature}),
        }
    data = text(source.get("redactedContent"))
    return {"type": "reasoning", "content": "", "redacted": True, **present({"data": data})}


def _tool_use(value: object) -> Part | None:
    call = mapping(value)
    named = present({"id": text(call.get("toolUseId")), "name": text(call.get("name"))})
    if call.get("type") == "server_tool_use":
        return {"type": "server_tool_call", **named, "server_tool_call": {"input": call.get("input")}}
    return {"type": "tool_call", **named, "arguments": call.get("input")}


def _tool_result(value: object) -> Part | None:
    result = mapping(value)
    return {
        "type": "tool_call_response",
        **present({"id": text(result.get("toolUseId"))}),
        "response": _response(result.get("content")),
        **({"is_error": True} if result.get("status") == "error" else {}),
    }


def _response(content: object) -> Any:
    """A result of one JSON value or one text is that; of several blocks, their parts."""
    blocks = [mapping(block) for block in sequence(content)]
    if len(blocks) == 1:
        for key in ("json", "text"):
            if key in blocks[0]:
                return blocks[0][key]
    return [
        {"type": "json", "content": block["json"]} if "json" in block else _part(block) for block in blocks
    ]


def _media(modality: str) -> Callable[[object], Part | None]:
    def read(value: object) -> Part | None:
        item = mapping(value)
        source, format_ = mapping(item.get("source")), text(item.get("format"))
        mime = f"{'application' if modality == 'document' else modality}/{format_}" if format_ else None
        known = present(
            {"mime_type": mime, "name": text(item.get("name")), "context": text(item.get("context"))}
        )
        data, place = text(source.get("bytes")), text(mapping(source.get("s3Location")).get("uri"))
        if data is not None:
            return {"type": "blob", **known, "modality": modality, "content": data}
        if place is not None:
            return {"type": "uri", **known, "modality": modality, "uri": place}
        content = source.get("text") if "text" in source else source.get("content")
        if content is None:
            return None
        return {"type": modality, **known, "content": content if isinstance(content, str) else parts(content)}

    return read


_READERS: dict[str, Callable[[object], Part | None]] = {
    "text": _text,
    "image": _media("image"),
    "document": _media("document"),
    "video": _media("video"),
    "audio": _media("audio"),
    "toolUse": _tool_use,
    "toolResult": _tool_result,
    "reasoningContent": _reasoning,
    "guardContent": _guarded,
    "citationsContent": _cited,
}
