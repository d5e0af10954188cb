"""What was asked and answered, in the spelling of any provider or framework -> messages of the conventions.

`messages(value)` reads what went in, `answers(value)` what came out: message lists, single messages, request
and response bodies of the providers, LangChain's serialised objects, or plain text. Total.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from spanreel.analysis.dialects.parts import Part, call_part, parts, reasoning_part, response_part, text_part
from spanreel.analysis.dialects.reading import mapping, structure
from spanreel.analysis.dialects.vocabulary import finish

Message = dict[str, Any]
_ROLES: Final = {
    "developer": "system", "model": "assistant", "function": "tool", "human": "user", "ai": "assistant",
    "chatbot": "assistant", "bot": "assistant", "tool_call": "assistant", "instruction": "system",
    "humanmessage": "user", "aimessage": "assistant", "systemmessage": "system", "toolmessage": "tool",
    "functionmessage": "tool", "humanmessagechunk": "user", "aimessagechunk": "assistant", "chatmessage": "user",
    "remove": "system", "chat": "user", "chatmessagerole.user": "user", "chatrole.user": "user",
}  # fmt: skip
_KNOWN_ROLES: Final = frozenset({"system", "user", "assistant", "tool"})
_ITEM_TYPES: Final = frozenset({
    "function_call", "function_call_output", "reasoning", "custom_tool_call", "custom_tool_call_output", "tool_use",
    "tool_result", "tool-call", "tool-result", "tool_call", "tool_call_response",
})  # fmt: skip
_RESULTS: Final = frozenset({
    "function_call_output", "custom_tool_call_output", "tool_result", "tool-result", "tool_call_response",
})  # fmt: skip
_DEPTH: Final = 12


def role(word: object, default: str = "user") -> str:
    """A role of the conventions; one that nobody knows stays as it is."""
    if not isinstance(word, str) or not word.strip():
        return default
    plain = word.strip().rsplit(".", 1)[-1].lower()  # `MessageRole.USER`
    return plain if plain in _KNOWN_ROLES else _ROLES.get(plain, word.strip())


def message(who: str, found: list[Part], **more: Any) -> Message:
    """A message of the conventions."""
    return {"role": who, "parts": found, **{key: value for key, value in more.items() if value is not None}}


def text_message(who: str, content: object) -> Message:
    """A message of plain text."""
    return message(who, [text_part(content)])


def messages(value: object, who: str = "user") -> list[Message]:
    """The messages in what went into a call; text that spells none becomes one message of role `who`."""
    return _merged(_messages(value, who, 0))


def answers(value: object) -> list[Message]:
    """The messages in what came out of a call; text that spells none becomes one message of the assistant."""
    return _merged(_messages(value, "assistant", 0))


def _messages(value: object, who: str, depth: int) -> list[Message]:
    if depth > _DEPTH:
        return []
    if isinstance(value, str):
        spelled = structure(value)
        found = _messages(spelled, who, depth + 1) if spelled is not None and _speaks(spelled) else []
        return found or ([text_message(who, value)] if value else [])
    if isinstance(value, list):
        if value and all(isinstance(item, dict) and _is_block(item) for item in value):
            return [message(who, parts(value))]
        return [found for item in value for found in _messages(item, who, depth + 1)]
    if isinstance(value, dict):
        return _of_object(value, who, depth)
    return []


def _speaks(value: object) -> bool:
    """Whether a structure that was spelled as text is about messages at all, and no text that happens to be JSON."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, (dict, list)) and _speaks(item) for item in value[:4])
    if isinstance(value, dict):
        return bool(_SPEAKING & value.keys()) or _is_block(value)
    return False


_SPEAKING: Final = frozenset({
    "role", "parts", "messages", "choices", "candidates", "generations", "lc", "prompts", "contents",
    "page_content", "completion", "inputs", "output", "input", "prompt", "message",
})  # fmt: skip


def _is_block(item: Mapping[str, Any]) -> bool:
    """A piece of a message: it has a type and no role."""
    return (
        isinstance(item.get("type"), str)
        and "role" not in item
        and item["type"] not in _LANGCHAIN_TYPES
        and (
            item["type"]
            not in {"message", "reasoning", "function_call", "function_call_output", "constructor"}
        )
    )


def _of_object(value: dict[str, Any], who: str, depth: int) -> list[Message]:
    for key, reader in _SHAPES:
        if key in value:
            found = reader(value, who, depth)
            if found:
                return found
    if "role" in value or "parts" in value or value.get("type") == "message":
        return [_message(value, who)]
    kind = value.get("type")
    if isinstance(kind, str) and kind in _ITEM_TYPES:
        return [message("tool" if kind in _RESULTS else "assistant", parts([value]))]
    if isinstance(kind, str) and kind in _LANGCHAIN_TYPES and ("content" in value or "data" in value):
        return [_message({**value, **mapping(value.get("data")), "role": kind}, who)]
    if "content" in value or "tool_calls" in value or "text" in value:
        return [_message(value, who)]
    return []


_LANGCHAIN_TYPES: Final = frozenset({
    "human", "ai", "system", "tool", "function", "chat", "HumanMessage", "AIMessage", "SystemMessage", "ToolMessage",
    "AIMessageChunk", "FunctionMessage", "ChatMessage",
})  # fmt: skip


def _message(value: dict[str, Any], who: str) -> Message:
    """One message: role and content in any spelling, tool calls beside the content, a tool's answer."""
    speaker = role(value.get("role"), who)
    call_id = value.get("tool_call_id") or value.get("toolCallId")
    content = value.get("parts")
    if not isinstance(content, list):
        content = _content(value)
    if speaker == "tool" and not (isinstance(content, list) and _holds_response(content)):
        found = [response_part(call_id or value.get("id"), _plain_text(content))]
        return message("tool", found, name=_name(value))
    found = parts(content)
    thought = value.get("reasoning_content") or value.get("reasoning") or value.get("thinking")
    if isinstance(thought, str) and not any(part.get("type") == "reasoning" for part in found):
        found.insert(0, reasoning_part(thought))
    _add_calls(found, value)
    if isinstance(value.get("refusal"), str) and value["refusal"]:
        found.append({"type": "refusal", "content": value["refusal"]})
    reason = value.get("finish_reason") or value.get("finishReason") or value.get("stop_reason")
    return message(speaker, found, name=_name(value), finish_reason=finish(reason))


def _content(value: Mapping[str, Any]) -> Any:
    for key in ("content", "blocks", "text", "message"):
        if value.get(key) not in (None, ""):
            found = value[key]
            if isinstance(found, str) and found[:2] in {"[{", '["'}:  # a list of pieces spelled as text
                spelled = structure(found)
                if (
                    isinstance(spelled, list)
                    and spelled
                    and all(isinstance(i, dict) and "type" in i for i in spelled)
                ):
                    return spelled
            if isinstance(found, dict) and isinstance(found.get("parts"), list):
                return found["parts"]
            return found
    return None


def _holds_response(content: list[Any]) -> bool:
    return any(
        isinstance(item, dict)
        and (
            item.get("type") in _RESULTS
            or "functionResponse" in item
            or "function_response" in item
            or "toolResult" in item
        )
        for item in content
    )


def _plain_text(content: Any) -> Any:
    """The text of a tool's answer whose content is a list of text pieces; else the content."""
    if (
        isinstance(content, list)
        and content
        and all(
            isinstance(item, dict) and isinstance(item.get("text", item.get("content")), str)
            for item in content
        )
    ):
        return "\n".join(item.get("text", item.get("content")) for item in content)
    return content


def _name(value: Mapping[str, Any]) -> str | None:
    name = value.get("name")
    return name if isinstance(name, str) and name else None


def _add_calls(found: list[Part], value: Mapping[str, Any]) -> None:
    """Tool calls beside the content; those that the content repeats (same id) are there already."""
    there = {part.get("id") for part in found if part.get("type") == "tool_call"}
    listed = (
        value.get("tool_calls")
        or value.get("toolCalls")
        or mapping(value.get("additional_kwargs")).get("tool_calls")
    )
    for item in structure(listed) or ():
        call = mapping(item)
        call = mapping(call.get("tool_call")) or call
        function = mapping(call.get("function")) or call
        name = function.get("name") or function.get("toolName")
        call_id = call.get("id") or call.get("toolCallId") or call.get("tool_call_id")
        if name is None or (call_id is not None and str(call_id) in there):
            continue
        arguments = next(
            (function[k] for k in ("arguments", "args", "input") if function.get(k) is not None), None
        )
        found.append(call_part(call_id, name, arguments))
    legacy = mapping(value.get("function_call"))
    if legacy.get("name"):
        found.append(call_part(None, legacy["name"], legacy.get("arguments")))


def _merged(found: list[Message]) -> list[Message]:
    """Messages without the empty ones that only carried a role."""
    return [item for item in found if item["parts"] or item.get("finish_reason")] or found[:1]


# -- bodies of providers and objects of frameworks, by the key that tells them ------


def _chat_request(value: dict[str, Any], who: str, depth: int) -> list[Message]:
    system = value.get("system") or value.get("instructions") or value.get("system_instruction")
    before = _messages(system, "system", depth + 1) if system else []
    return [*before, *_messages(structure(value["messages"]) or value["messages"], who, depth + 1)]


def _choices(value: dict[str, Any], who: str, depth: int) -> list[Message]:
    found = []
    for choice in structure(value["choices"]) or ():
        item = mapping(choice)
        spoken = item.get("message") or item.get("delta")
        if spoken is None and "text" in item:
            spoken = {"role": "assistant", "content": item["text"]}
        for one in _messages(spoken, "assistant", depth + 1)[:1]:
            reason = finish(item.get("finish_reason"))
            found.append({**one, "finish_reason": reason} if reason else one)
    return found


def _candidates(value: dict[str, Any], who: str, depth: int) -> list[Message]:
    found = []
    for candidate in structure(value["candidates"]) or ():
        item = mapping(candidate)
        one = _message({**mapping(item.get("content")), "role": "model"}, "assistant")
        reason = finish(item.get("finishReason") or item.get("finish_reason"))
        found.append({**one, "finish_reason": reason} if reason else one)
    return found


def _generations(value: dict[str, Any], who: str, depth: int) -> list[Message]:
    found = []
    for row in structure(value["generations"]) or ():
        for item in row if isinstance(row, list) else [row]:
            generation = mapping(item)
            spoken = generation.get("message")
            one = _messages(spoken, "assistant", depth + 1)[:1] if spoken is not None else []
            one = one or ([text_message("assistant", generation["text"])] if generation.get("text") else [])
            info = mapping(generation.get("generation_info"))
            reason = finish(info.get("finish_reason"))
            found += [{**item, "finish_reason": reason} if reason else item for item in one]
    return found


def _serialised(value: dict[str, Any], who: str, depth: int) -> list[Message]:
    """LangChain's `{"lc": 1, "id": [..., "HumanMessage"], "kwargs": {...}}`."""
    path = value.get("id")
    name = path[-1] if isinstance(path, list) and path else None
    kwargs = mapping(value.get("kwargs"))
    if "messages" in kwargs:
        return _messages(kwargs["messages"], who, depth + 1)
    if "message" in kwargs and "content" not in kwargs:
        return _messages(kwargs["message"], who, depth + 1)
    return [_message({**kwargs, "role": name, "name": None}, who)] if kwargs else []


def _under(key: str) -> Callable[[dict[str, Any], str, int], list[Message]]:
    def read(value: dict[str, Any], who: str, depth: int) -> list[Message]:
        inner = value[key]
        if isinstance(inner, (dict, list)) or (key in _TEXT_KEYS and isinstance(inner, str)):
            return _messages(inner, who, depth + 1)
        return []

    return read


_TEXT_KEYS: Final = frozenset({"prompt", "prompts", "input", "completion", "contents", "response"})


def _responses(value: dict[str, Any], who: str, depth: int) -> list[Message]:
    """`input` of the Responses API, with its instructions."""
    before = _messages(value.get("instructions"), "system", depth + 1) if value.get("instructions") else []
    return [*before, *_under("input")(value, who, depth)]


def _output_items(value: dict[str, Any], who: str, depth: int) -> list[Message]:
    """`output` of the Responses API: one message per item, joined into one of the assistant."""
    found = _under("output")(value, "assistant", depth)
    spoken = [item for item in found if item["role"] == "assistant"]
    if len(spoken) > 1 and len(spoken) == len(found):
        return [message("assistant", [part for item in spoken for part in item["parts"]])]
    return found


def _typed_output(value: dict[str, Any], who: str, depth: int) -> list[Message]:
    return _output_items(value, who, depth) if _is_items(value["output"]) else []


def _typed_input(value: dict[str, Any], who: str, depth: int) -> list[Message]:
    return _responses(value, who, depth) if _is_items(value["input"]) else []


def _is_items(value: object) -> bool:
    """Whether a list holds items of the Responses API."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and ("type" in item or "role" in item) for item in value)
    )


def _contents(value: dict[str, Any], who: str, depth: int) -> list[Message]:
    """Gemini's request."""
    system = (
        mapping(value.get("config")).get("system_instruction")
        or value.get("systemInstruction")
        or value.get("system_instruction")
    )
    before = _messages(system, "system", depth + 1) if system else []
    return [*before, *_under("contents")(value, who, depth)]


_SHAPES: Final[tuple[tuple[str, Callable[[dict[str, Any], str, int], list[Message]]], ...]] = (
    ("lc", _serialised),
    ("messages", _chat_request),
    ("choices", _choices),
    ("candidates", _candidates),
    ("generations", _generations),
    ("contents", _contents),
    ("output", _typed_output),
    ("input", _typed_input),
)
_LOOSE: Final = (
    ("output", _output_items), ("input", _responses), ("prompt", _under("prompt")), ("prompts", _under("prompts")),
    ("message", _under("message")), ("completion", _under("completion")), ("inputs", _under("inputs")),
    ("response", _under("response")),
)  # fmt: skip


def loose(value: object, who: str = "user") -> list[Message]:
    """As `messages`, and also looks under the keys that frameworks wrap a call in (`input`, `prompt`, ...)."""
    found = structure(value)
    if isinstance(found, dict):
        for key, reader in _LOOSE:
            if key in found and not (_SPEAKING_STRICT & found.keys()):
                inside = _merged(reader(found, who, 0))
                if inside:
                    return inside
    return messages(value, who)


_SPEAKING_STRICT: Final = frozenset(
    {"lc", "messages", "choices", "candidates", "generations", "contents", "role"}
)
