"""Contents of Google's Gemini API -> messages and parts of the convention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.gemini_request import get
from spanreel.protocols.shapes import mapping, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spanreel.protocols.call import Message

Part = dict[str, Any]

ROLES = {"model": "assistant", "function": "tool"}
_CODE = "code_execution"


def messages(contents: object) -> list[Message]:
    """Return the messages of `contents`: a list, or what is taken for one by lenient servers."""
    if isinstance(contents, str):
        return [{"role": "user", "parts": [{"type": "text", "content": contents}]}]
    items = contents if isinstance(contents, list) else [contents] if isinstance(contents, dict) else []
    return [message(item) for item in items]


def message(content: object) -> Message:
    """Return one content as a message."""
    source = mapping(content)
    role = text(source.get("role")) or "user"
    return {"role": ROLES.get(role, role), "parts": parts(source)}


def parts(content: object) -> list[Part]:
    """Return the parts of a content."""
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    found = mapping(content).get("parts")
    return [part(item) for item in (found if isinstance(found, list) else [found] if found else [])]


def part(item: object) -> Part:
    """Return one part; the field that it has says what it is."""
    source = mapping(item)
    for name, read in _READERS.items():
        value = get(source, name)
        if value is not None:
            found = read(value, source)
            if found is not None:
                return {**found, **present({"signature": text(get(source, "thoughtSignature"))})}
    return {**source, "type": "unknown"}


def _text(value: Any, source: Mapping[str, Any]) -> Part | None:
    if not isinstance(value, str):
        return None
    return {"type": "reasoning" if source.get("thought") is True else "text", "content": value}


def _inline(value: Any, _source: Mapping[str, Any]) -> Part:
    mime = text(get(mapping(value), "mimeType"))
    content = text(mapping(value).get("data")) or ""
    return {"type": "blob", **present({"mime_type": mime}), "modality": _modality(mime), "content": content}


def _file(value: Any, _source: Mapping[str, Any]) -> Part:
    mime = text(get(mapping(value), "mimeType"))
    uri = text(get(mapping(value), "fileUri")) or ""
    return {"type": "uri", **present({"mime_type": mime}), "modality": _modality(mime), "uri": uri}


def _modality(mime: str | None) -> str:
    kind = (mime or "").partition("/")[0]
    return kind if kind in {"image", "video", "audio"} else "document"


def _call(value: Any, _source: Mapping[str, Any]) -> Part:
    call = mapping(value)
    return {
        "type": "tool_call",
        **present({"id": text(call.get("id")), "name": text(call.get("name"))}),
        "arguments": call.get("args", {}),
    }


def _response(value: Any, _source: Mapping[str, Any]) -> Part:
    given = mapping(value)
    media = [part(item) for item in sequence(given.get("parts"))]
    return {
        "type": "tool_call_response",
        **present({"id": text(given.get("id")), "name": text(given.get("name"))}),
        "response": given.get("response"),
        **present({"parts": media or None}),
    }


def _code(value: Any, _source: Mapping[str, Any]) -> Part:
    call = mapping(value)
    return {
        "type": "server_tool_call",
        **present({"id": text(call.get("id"))}),
        "name": _CODE,
        "server_tool_call": {**{key: item for key, item in call.items() if key != "id"}, "type": _CODE},
    }


def _code_result(value: Any, _source: Mapping[str, Any]) -> Part:
    given = mapping(value)
    return {
        "type": "server_tool_call_response",
        **present({"id": text(given.get("id"))}),
        "server_tool_call_response": {
            **{key: item for key, item in given.items() if key != "id"},
            "type": _CODE,
        },
    }


def _tool(value: Any, _source: Mapping[str, Any]) -> Part:
    call = mapping(value)
    name = (text(get(call, "toolType")) or "unknown").lower()
    return {
        "type": "server_tool_call",
        **present({"id": text(call.get("id"))}),
        "name": name,
        "server_tool_call": {"type": name, "args": call.get("args")},
    }


def _tool_result(value: Any, _source: Mapping[str, Any]) -> Part:
    given = mapping(value)
    name = (text(get(given, "toolType")) or "unknown").lower()
    return {
        "type": "server_tool_call_response",
        **present({"id": text(given.get("id"))}),
        "server_tool_call_response": {"type": name, "response": given.get("response")},
    }


_READERS: dict[str, Callable[[Any, Mapping[str, Any]], Part | None]] = {
    "text": _text,
    "functionCall": _call,
    "functionResponse": _response,
    "inlineData": _inline,
    "fileData": _file,
    "executableCode": _code,
    "codeExecutionResult": _code_result,
    "toolCall": _tool,
    "toolResponse": _tool_result,
}
