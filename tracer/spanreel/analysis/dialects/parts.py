"""A piece of a message, in the spelling of any provider or framework -> a part of the conventions.

Known spellings: the conventions' own, OpenAI (chat and Responses), Anthropic, Gemini, Bedrock, the Vercel AI
SDK, LangChain, pydantic-ai, OpenInference. What nobody knows is kept as it is under its `type`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from spanreel.analysis.dialects.reading import dump, mapping, meant
from spanreel.protocols.openai_parts import media
from spanreel.protocols.openai_parts import parts as openai_parts

Part = dict[str, Any]
_NATIVE: Final = frozenset({
    "text", "reasoning", "tool_call", "tool_call_response", "server_tool_call", "server_tool_call_response", "blob",
    "file", "uri", "compaction", "refusal",
})  # fmt: skip


def text_part(content: object) -> Part:
    """A part of plain text."""
    return {"type": "text", "content": content if isinstance(content, str) else dump(content)}


def reasoning_part(content: object) -> Part:
    """A part of what the model thought."""
    return {"type": "reasoning", "content": content if isinstance(content, str) else dump(content)}


def call_part(call_id: object, name: object, arguments: object) -> Part:
    """A tool call that the model asks for; arguments spelled as text become the value they mean."""
    part: Part = {"type": "tool_call"}
    if call_id not in (None, ""):
        part["id"] = str(call_id)
    part["name"] = name if isinstance(name, str) else str(name or "")
    part["arguments"] = meant(arguments)
    return part


def response_part(call_id: object, response: object) -> Part:
    """What a tool returned."""
    part: Part = {"type": "tool_call_response"}
    if call_id not in (None, ""):
        part["id"] = str(call_id)
    part["response"] = meant(response)
    return part


def parts(content: object) -> list[Part]:
    """The parts of a message's content: a text, a piece, a list of pieces, or nothing."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [text_part(content)]
    if isinstance(content, list):
        return [found for item in content if item is not None for found in _piece(item)]
    if isinstance(content, dict):
        return _piece(content)
    return [text_part(content)]


def _piece(item: object) -> list[Part]:
    if not isinstance(item, dict):
        return [text_part(item)] if item != "" else []
    kind = item.get("type")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is not None:
        found = reader(item)
        if found is not None:
            return [found]
    for key, untyped in _UNTYPED:
        if key in item and item[key] is not None:
            return [untyped(item)]
    if isinstance(kind, str) and kind in _NATIVE:
        return [_without_padding(item)]
    if kind is None and isinstance(item.get("text"), str):  # Gemini, Bedrock, Haystack
        return [_gemini_text(item)]
    known = openai_parts([item])
    return known or [_without_padding(item)]


def _without_padding(item: Mapping[str, Any]) -> Part:
    return {
        "type": str(item.get("type") or "unknown"),
        **{k: v for k, v in item.items() if v is not None and k != "type"},
    }


def _text(item: Mapping[str, Any]) -> Part | None:
    for key in ("content", "text", "value"):
        value = item.get(key)
        if isinstance(value, str):
            return {"type": "text", "content": value}
    if isinstance(item.get("text"), dict):  # {"text": {"value": ...}} of the Assistants API
        return text_part(item["text"].get("value", item["text"]))
    return text_part(item["content"]) if item.get("content") is not None else None


def _reasoning(item: Mapping[str, Any]) -> Part | None:
    for key in ("content", "thinking", "text", "reasoning", "summary", "reasoning_content"):
        value = item.get(key)
        if isinstance(value, list):
            value = "\n".join(str(mapping(piece).get("text", "")) or str(piece) for piece in value)
        if isinstance(value, dict):
            value = mapping(value.get("reasoningText")).get("text") or value.get("text")
        if isinstance(value, str) and value:
            return reasoning_part(value)
    return reasoning_part("") if item.get("type") != "reasoning" or "id" in item else None


def _call(item: Mapping[str, Any]) -> Part | None:
    function = item.get("function")
    source = function if isinstance(function, dict) else item
    name = _pick(source, "name", "toolName", "tool_name")
    if name is None:
        return None
    call_id = _pick(item, "call_id", "toolCallId", "tool_call_id", "id", "toolUseId")
    return call_part(call_id, name, _pick(source, "arguments", "args", "input", "parameters"))


def _response(item: Mapping[str, Any]) -> Part | None:
    call_id = _pick(item, "tool_use_id", "call_id", "toolCallId", "tool_call_id", "toolUseId", "id")
    response = _pick(item, "response", "result", "output", "content")
    if isinstance(response, dict) and set(response) <= {"type", "value"} and "value" in response:  # Vercel 5
        response = response["value"]
    if isinstance(response, list):
        told = [
            piece.get("text") for piece in response if isinstance(piece, dict) and piece.get("type") == "text"
        ]
        if len(told) == len(response) and len(told) == 1:
            response = told[0]
    return response_part(call_id, response)


def _anthropic_media(item: Mapping[str, Any]) -> Part | None:
    source = mapping(item.get("source"))
    modality = "image" if item.get("type") == "image" else "document"
    if source.get("type") == "base64" or "data" in source:
        return {
            "type": "blob",
            "mime_type": source.get("media_type"),
            "modality": modality,
            "content": source.get("data"),
        }
    if isinstance(source.get("url"), str):
        return media(source["url"], modality)
    value = _pick(item, "image", "image_url", "url", "data")
    if isinstance(value, dict):
        value = _pick(value, "url", "image")
        value = value.get("url") if isinstance(value, dict) else value
    return media(value, modality) if isinstance(value, str) else None


def _gemini_blob(item: Mapping[str, Any]) -> Part:
    data = mapping(item.get("inlineData") or item.get("inline_data"))
    mime = _pick(data, "mimeType", "mime_type")
    return {
        "type": "blob",
        "mime_type": mime,
        "modality": str(mime or "").partition("/")[0] or "document",
        "content": data.get("data"),
    }


def _gemini_file(item: Mapping[str, Any]) -> Part:
    data = mapping(item.get("fileData") or item.get("file_data"))
    mime = _pick(data, "mimeType", "mime_type")
    return {"type": "uri", "mime_type": mime, "modality": str(mime or "").partition("/")[0] or "document",
            "uri": _pick(data, "fileUri", "file_uri")}  # fmt: skip


def _gemini_call(item: Mapping[str, Any]) -> Part:
    call = mapping(item.get("functionCall") or item.get("function_call"))
    return call_part(call.get("id"), call.get("name"), call.get("args", call.get("arguments")))


def _gemini_response(item: Mapping[str, Any]) -> Part:
    found = mapping(item.get("functionResponse") or item.get("function_response"))
    part = response_part(found.get("id"), found.get("response"))
    return {**part, "name": found["name"]} if isinstance(found.get("name"), str) else part


def _bedrock_call(item: Mapping[str, Any]) -> Part:
    use = mapping(item.get("toolUse"))
    return call_part(use.get("toolUseId"), use.get("name"), use.get("input"))


def _bedrock_response(item: Mapping[str, Any]) -> Part:
    result = mapping(item.get("toolResult"))
    content = result.get("content")
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        content = content[0].get("text", content[0].get("json", content[0]))
    return response_part(result.get("toolUseId"), content)


def _gemini_text(item: Mapping[str, Any]) -> Part:
    return reasoning_part(item["text"]) if item.get("thought") is True else text_part(item["text"])


def _pick(item: Mapping[str, Any], *keys: str) -> Any:
    for key in keys:
        value = item.get(key)
        if value is not None:
            return value
    return None


_READERS: Final[dict[str, Callable[[Mapping[str, Any]], Part | None]]] = {
    "text": _text, "input_text": _text, "output_text": _text, "summary_text": _text,
    "reasoning": _reasoning, "thinking": _reasoning, "redacted_thinking": _reasoning, "reasoning_text": _reasoning,
    "tool_call": _call, "tool-call": _call, "tool_use": _call, "function_call": _call, "function": _call,
    "custom_tool_call": _call, "toolCall": _call,
    "tool_call_response": _response, "tool-result": _response, "tool_result": _response,
    "function_call_output": _response, "custom_tool_call_output": _response, "tool-return": _response,
    "image": _anthropic_media, "document": _anthropic_media,
}  # fmt: skip
_UNTYPED: Final[tuple[tuple[str, Callable[[Mapping[str, Any]], Part]], ...]] = (
    ("functionCall", _gemini_call), ("function_call", _gemini_call),
    ("functionResponse", _gemini_response), ("function_response", _gemini_response),
    ("inlineData", _gemini_blob), ("inline_data", _gemini_blob), ("fileData", _gemini_file),
    ("file_data", _gemini_file), ("toolUse", _bedrock_call), ("toolResult", _bedrock_response),
    ("reasoningContent", lambda item: _reasoning({"content": item["reasoningContent"]}) or reasoning_part("")),
)  # fmt: skip
"""Gemini and Bedrock name a piece by its one key."""
