"""A message of Chat Completions, of a request or of a choice -> the convention's message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.openai_parts import parts, tool_call
from spanreel.protocols.shapes import mapping, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.protocols.call import Message

_PLAIN_KEYS = frozenset({"role", "content", "name"})
"""Keys of most messages: nothing but a text."""


def message(item: object) -> Message:
    """Return a message of the request or of a choice in the convention's form."""
    source = mapping(item)
    role = text(source.get("role")) or "user"
    if role in {"tool", "function"}:
        response = source.get("content")
        if isinstance(response, list):
            response = parts(response)
        found = [
            {
                "type": "tool_call_response",
                **present({"id": text(source.get("tool_call_id"))}),
                "response": response,
            }
        ]
    else:
        found = _said(source)
    # `prefix`: what the model has to go on from (Mistral, DeepSeek).
    more = present({"name": text(source.get("name")), "prefix": source.get("prefix") or None})
    return {"role": role, "parts": found, **more}


def _said(source: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = parts(source.get("content"))
    if source.keys() <= _PLAIN_KEYS:
        return found
    _annotate(found, sequence(source.get("annotations")))
    thought = text(source.get("reasoning_content")) or text(source.get("reasoning")) or _details(source)
    if thought:
        found.insert(0, {"type": "reasoning", "content": thought})
    refusal = text(source.get("refusal"))
    if refusal:
        found.append({"type": "refusal", "content": refusal})
    audio = mapping(source.get("audio"))
    if audio:
        found.extend(_audio(audio))
    found.extend(parts(sequence(source.get("images"))))
    found.extend(_executed(mapping(tool)) for tool in sequence(source.get("executed_tools")))
    found.extend(_call(mapping(call)) for call in sequence(source.get("tool_calls")))
    legacy = mapping(source.get("function_call"))
    if legacy:
        found.append(tool_call(None, legacy.get("name"), legacy.get("arguments")))
    return found


def _annotate(found: list[dict[str, Any]], annotations: list[Any]) -> None:
    """Put citations of a message (searching models of OpenAI, OpenRouter, Groq) to its first text."""
    for place, part in enumerate(found if annotations else ()):
        if part["type"] == "text":
            found[place] = {**part, "annotations": annotations}
            return


def _details(source: Mapping[str, Any]) -> str:
    """Return the readable part of OpenRouter's `reasoning_details`; encrypted ones have none."""
    details = [mapping(item) for item in sequence(source.get("reasoning_details"))]
    return "".join(text(item.get("text")) or text(item.get("summary")) or "" for item in details)


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    custom = mapping(call.get("custom"))
    if custom:
        return tool_call(call.get("id"), custom.get("name"), custom.get("input"))
    function = mapping(call.get("function"))
    return tool_call(call.get("id"), function.get("name"), function.get("arguments"))


def _executed(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool that Groq's compound systems ran themselves."""
    name = text(tool.get("name")) or text(tool.get("type")) or "tool"
    return {"type": "server_tool_call", "name": name, "server_tool_call": {"type": name, **tool}}


def _audio(audio: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    transcript = text(audio.get("transcript"))
    if transcript:
        found.append({"type": "text", "content": transcript})
    data, file_id = text(audio.get("data")), text(audio.get("id"))
    if data:
        found.append({"type": "blob", "modality": "audio", "content": data, **present({"id": file_id})})
    elif file_id:
        found.append({"type": "file", "modality": "audio", "file_id": file_id})
    return found
