"""Items of the Responses API (input and output are lists of them) -> messages of the convention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.openai_parts import Part, parts, tool_call
from spanreel.protocols.shapes import mapping, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.protocols.call import Message

CLIENT_CALLS = frozenset(
    {"computer_call", "local_shell_call", "shell_call", "apply_patch_call", "tool_search_call"}
)
"""Calls of built-in tools that the caller's own machine runs; other `*_call` items ran at the provider."""

FUNCTION_CALLS = ("function_call", "custom_tool_call")


def input_messages(value: object) -> list[Message]:
    """Return the messages of a request's `input`; neighbouring assistant items become one message."""
    if isinstance(value, str):
        return [{"role": "user", "parts": parts(value)}]
    found: list[Message] = []
    for item in sequence(value):
        role, said = _read(mapping(item) if not isinstance(item, str) else {"role": "user", "content": item})
        if found and found[-1]["role"] == role == "assistant":
            found[-1]["parts"].extend(said)
        else:
            found.append({"role": role, "parts": said})
    return found


def output_message(items: object, reason: str | None) -> list[Message]:
    """Return the one assistant message that a response's output items make; none if there are no items."""
    said = [part for item in sequence(items) for part in _read(mapping(item))[1]]
    if not said:
        return []
    return [{"role": "assistant", "parts": said, **present({"finish_reason": reason})}]


def asks_for_tools(items: object) -> bool:
    """Tell whether an item waits for the caller to run something."""
    kinds = {text(mapping(item).get("type")) for item in sequence(items)}
    return bool(kinds & (CLIENT_CALLS | set(FUNCTION_CALLS)))


def _read(item: Mapping[str, Any]) -> tuple[str, list[Part]]:
    kind = text(item.get("type")) or "message"
    if kind == "message":
        return text(item.get("role")) or "assistant", parts(item.get("content"))
    if kind == "reasoning":
        return "assistant", _reasoning(item)
    if kind in FUNCTION_CALLS:
        arguments = item.get("arguments", item.get("input"))
        return "assistant", [tool_call(item.get("call_id") or item.get("id"), item.get("name"), arguments)]
    if kind in {"function_call_output", "custom_tool_call_output"}:
        output = item.get("output")
        return "tool", [_response(item, parts(output) if isinstance(output, list) else output)]
    if kind in CLIENT_CALLS:
        arguments = item.get("action") or item.get("operation") or item.get("arguments")
        return "assistant", [
            tool_call(item.get("call_id") or item.get("id"), kind.removesuffix("_call"), arguments)
        ]
    if kind.endswith("_call_output"):
        return "tool", [_response(item, item.get("output"))]
    if kind.endswith("_call"):
        return "assistant", [_server_call(kind, item)]
    if kind == "compaction":
        return "assistant", [{"type": "compaction", **present({"id": text(item.get("id"))})}]
    role = text(item.get("role")) or ("user" if kind.startswith("input_") else "assistant")
    return role, parts([item])


def _response(item: Mapping[str, Any], output: object) -> Part:
    call_id = text(item.get("call_id")) or text(item.get("id"))
    return {"type": "tool_call_response", **present({"id": call_id}), "response": output}


def _server_call(kind: str, item: Mapping[str, Any]) -> Part:
    details = {key: value for key, value in item.items() if key not in {"id", "type"}}
    name = text(item.get("name")) or kind.removesuffix("_call")
    return {
        "type": "server_tool_call",
        **present({"id": text(item.get("id"))}),
        "name": name,
        "server_tool_call": {"type": kind.removesuffix("_call"), **details},
    }


def _reasoning(item: Mapping[str, Any]) -> list[Part]:
    shown = sequence(item.get("content")) or sequence(item.get("summary"))
    said = "\n\n".join(found for entry in shown if (found := text(mapping(entry).get("text"))))
    return [{"type": "reasoning", "content": said}] if said else []
