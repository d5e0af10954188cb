"""Content blocks of Anthropic's Messages API -> parts of the convention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.shapes import mapping, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spanreel.protocols.call import Message

Part = dict[str, Any]

_RESULT = "_tool_result"
"""End of the types that hold what a tool gave that ran at Anthropic: web_search_tool_result and its like."""


def message(item: object) -> Message:
    """Return a message of the request; a tool's results keep the role `user` that the API gives them."""
    source = mapping(item)
    return {"role": text(source.get("role")) or "user", "parts": parts(source.get("content"))}


def parts(content: object) -> list[Part]:
    """Return the parts of a `content`: a string, a list of blocks, or nothing."""
    if isinstance(content, str):
        return [{"type": "text", "content": content}] if content else []
    return [_part(block) for block in sequence(content)]


def _part(block: object) -> Part:
    if isinstance(block, str):
        return {"type": "text", "content": block}
    source = mapping(block)
    kind = text(source.get("type")) or "unknown"
    reader = _READERS.get(kind)
    read = reader(source) if reader is not None else None
    if read is None and kind.endswith(_RESULT):
        read = _server_result(kind, source)
    if read is None:
        return {**source, "type": kind}
    return read if source.get("cache_control") is None else {**read, "cache_control": source["cache_control"]}


def _text(block: Mapping[str, Any]) -> Part | None:
    content = text(block.get("text"))
    if content is None:
        return None
    return {"type": "text", "content": content, **present({"citations": block.get("citations") or None})}


def _thinking(block: Mapping[str, Any]) -> Part:
    signature = text(block.get("signature")) or None
    return {
        "type": "reasoning",
        "content": text(block.get("thinking")) or "",
        **present({"signature": signature}),
    }


def _redacted(block: Mapping[str, Any]) -> Part:
    return {
        "type": "reasoning",
        "content": "",
        "redacted": True,
        **present({"data": text(block.get("data"))}),
    }


def _tool_use(block: Mapping[str, Any]) -> Part:
    return {
        "type": "tool_call",
        **present({"id": text(block.get("id")), "name": text(block.get("name"))}),
        "arguments": block.get("input"),
    }


def _tool_result(block: Mapping[str, Any]) -> Part:
    content = block.get("content")
    return {
        "type": "tool_call_response",
        **present({"id": text(block.get("tool_use_id"))}),
        "response": parts(content) if isinstance(content, list) else content,
        **({"is_error": True} if block.get("is_error") is True else {}),
    }


def _server_call(block: Mapping[str, Any]) -> Part:
    name = text(block.get("name"))
    kind = "mcp" if block.get("type") == "mcp_tool_use" else name or "unknown"
    details = {
        key: value for key, value in block.items() if key not in {"id", "name", "type", "cache_control"}
    }
    return {
        "type": "server_tool_call",
        **present({"id": text(block.get("id")), "name": name}),
        "server_tool_call": {**details, "type": kind},
    }


def _server_result(kind: str, block: Mapping[str, Any]) -> Part:
    details = {
        key: value for key, value in block.items() if key not in {"tool_use_id", "type", "cache_control"}
    }
    return {
        "type": "server_tool_call_response",
        **present({"id": text(block.get("tool_use_id"))}),
        "server_tool_call_response": {**details, "type": kind.removesuffix(_RESULT)},
    }


def _image(block: Mapping[str, Any]) -> Part | None:
    return _media(mapping(block.get("source")), "image")


def _document(block: Mapping[str, Any]) -> Part | None:
    source = mapping(block.get("source"))
    found = _media(source, "document")
    if found is None:
        content = source.get("data") if source.get("type") == "text" else source.get("content")
        if not isinstance(content, str | list):
            return None
        found = {
            "type": "document",
            **present({"mime_type": text(source.get("media_type"))}),
            "content": content if isinstance(content, str) else parts(content),
        }
    return {**found, **present({"title": text(block.get("title")), "context": text(block.get("context"))})}


def _media(source: Mapping[str, Any], modality: str) -> Part | None:
    mime = present({"mime_type": text(source.get("media_type"))})
    data, url, file_id = text(source.get("data")), text(source.get("url")), text(source.get("file_id"))
    if source.get("type") == "base64" and data is not None:
        return {"type": "blob", **mime, "modality": modality, "content": data}
    if url is not None:
        return {"type": "uri", **mime, "modality": modality, "uri": url}
    if file_id is not None:
        return {"type": "file", **mime, "modality": modality, "file_id": file_id}
    return None


def _search_result(block: Mapping[str, Any]) -> Part:
    return {
        "type": "search_result",
        **present({"source": text(block.get("source")), "title": text(block.get("title"))}),
        "content": parts(block.get("content")),
    }


def _upload(block: Mapping[str, Any]) -> Part | None:
    file_id = text(block.get("file_id"))
    return {"type": "file", "modality": "document", "file_id": file_id} if file_id else None


_READERS: dict[str, Callable[[Mapping[str, Any]], Part | None]] = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "server_tool_use": _server_call,
    "mcp_tool_use": _server_call,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "container_upload": _upload,
}
