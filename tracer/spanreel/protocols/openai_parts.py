"""Content of chat messages and Responses items -> parts of the convention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.shapes import mapping, parse, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Part = dict[str, Any]
AUDIO_TYPES = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "pcm16": "audio/pcm",
    "opus": "audio/opus",
    "flac": "audio/flac",
}


def parts(content: object) -> list[Part]:
    """Return the parts of a `content`: a string, a list of typed parts, or nothing."""
    if isinstance(content, str):
        return [{"type": "text", "content": content}] if content else []
    return [_part(item) for item in sequence(content)]


def tool_call(call_id: object, name: object, arguments: object, *, kind: str = "tool_call") -> Part:
    """Make a part of a call that the model asks for; arguments in JSON text become the value they mean."""
    return {
        "type": kind,
        **present({"id": text(call_id), "name": text(name)}),
        "arguments": argument(arguments),
    }


def argument(value: object) -> Any:
    """Return the object or array in a JSON text; other text as it is (half a call, a custom tool's input)."""
    if isinstance(value, str):
        parsed = parse(value) if value[:1] in {"{", "["} else None
        return parsed if isinstance(parsed, dict | list) else value
    return value


def tool_definitions(tools: object, functions: object = None) -> tuple[Part, ...]:
    """Return the tools on offer, in chat's nested or Responses' flat spelling; `functions` is the legacy list."""
    found: list[Part] = []
    for tool in sequence(tools):
        if not isinstance(tool, dict):
            continue
        kind = text(tool.get("type")) or "function"
        nested = tool.get(kind)
        if isinstance(nested, dict):
            found.append({"type": kind, **nested})
        else:
            found.append({"type": kind, **{key: value for key, value in tool.items() if key != "type"}})
    found.extend({"type": "function", **item} for item in sequence(functions) if isinstance(item, dict))
    return tuple(found)


def media(url: str, modality: str) -> Part:
    """Make a `blob` of a data URL, a `uri` of any other."""
    if url.startswith("data:"):
        head, _, payload = url[5:].partition(",")
        mime = head.partition(";")[0]
        return {
            "type": "blob",
            **present({"mime_type": mime or None}),
            "modality": modality,
            "content": payload,
        }
    return {"type": "uri", "modality": modality, "uri": url}


def _part(item: object) -> Part:
    if isinstance(item, str):
        return {"type": "text", "content": item}
    part = mapping(item)
    reader = _READERS.get(text(part.get("type")) or "")
    read = reader(part) if reader is not None else None
    return read if read is not None else _as_it_is(part)


def _as_it_is(part: Mapping[str, Any]) -> Part:
    return {**part, "type": text(part.get("type")) or "unknown"}


def _text(part: Mapping[str, Any]) -> Part | None:
    content = text(part.get("text"))
    if content is None:
        return None
    return {"type": "text", "content": content, **present({"annotations": part.get("annotations") or None})}


def _refusal(part: Mapping[str, Any]) -> Part | None:
    return {"type": "refusal", "content": text(part.get("refusal")) or ""}


def _image(part: Mapping[str, Any]) -> Part | None:
    source = part.get("image_url")
    url = text(source) or text(mapping(source).get("url"))
    if url is not None:
        return media(url, "image")
    file_id = text(part.get("file_id"))
    return {"type": "file", "modality": "image", "file_id": file_id} if file_id else None


def _audio(part: Mapping[str, Any]) -> Part | None:
    source = part.get("input_audio")
    audio = mapping(source)
    data = text(source) or text(audio.get("data"))
    if data is None:
        return None
    mime = AUDIO_TYPES.get(text(audio.get("format")) or "")
    return {"type": "blob", **present({"mime_type": mime}), "modality": "audio", "content": data}


def _file(part: Mapping[str, Any]) -> Part | None:
    file = mapping(part.get("file")) or part
    name = text(file.get("filename"))
    data, file_id = text(file.get("file_data")), text(file.get("file_id"))
    url = text(file.get("file_url"))
    if data is not None:
        found = (
            media(data, "document")
            if data.startswith("data:")
            else {"type": "blob", "modality": "document", "content": data}
        )
    elif file_id is not None:
        found = {"type": "file", "modality": "document", "file_id": file_id}
    elif url is not None:
        found = media(url, "document")
    else:
        return None
    return {**found, **present({"filename": name})}


def _document(part: Mapping[str, Any]) -> Part | None:
    url = text(part.get("document_url"))
    if url is None:
        return None
    return {**media(url, "document"), **present({"filename": text(part.get("document_name"))})}


def _reasoning(part: Mapping[str, Any]) -> Part | None:
    content = part.get("thinking", part.get("text"))
    if isinstance(content, list):
        content = "".join(text(mapping(item).get("text")) or "" for item in content)
    return {"type": "reasoning", "content": content} if isinstance(content, str) else None


_READERS: dict[str, Callable[[Mapping[str, Any]], Part | None]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "summary_text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "input_image": _image,
    "input_audio": _audio,
    "file": _file,
    "input_file": _file,
    "document_url": _document,
    "reasoning_text": _reasoning,
    "thinking": _reasoning,
}
