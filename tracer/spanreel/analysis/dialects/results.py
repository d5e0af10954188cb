"""Arguments and results of tools out of what frameworks wrap them in: LangChain's messages and callback inputs."""

from __future__ import annotations

from typing import Any, Final

from spanreel.analysis.dialects.reading import mapping, meant, structure

_WRAPPERS: Final = frozenset(
    {"tags", "metadata", "kwargs", "color", "name", "run_id", "parent_run_id", "tool_call_id"}
)


def unwrapped(value: object, *keys: str) -> Any:
    """What a callback's record holds under one of `keys`, where all else in it is about the callback itself."""
    found = structure(value)
    if isinstance(found, dict):
        for key in keys:
            if key in found and found.keys() - {key} <= _WRAPPERS | set(keys):
                return found[key]
    return value if found is None else found


def tool_arguments(value: object) -> Any:
    """The arguments that a tool was called with."""
    found = structure(value)
    if isinstance(found, dict) and found.get("type") == "tool_call" and "args" in found:
        return found["args"]
    inner = unwrapped(value, "inputs", "input_str", "input") if isinstance(found, dict) else value
    inner = meant(inner)
    if inner in (None, "", {}) and isinstance(found, dict):
        inner = meant(found.get("input_str", found.get("input")))
    if isinstance(inner, dict):
        if set(inner) == {"input"} and isinstance(structure(inner["input"]), dict):
            return structure(inner["input"])
        if inner.get("type") == "tool_call" and "args" in inner:
            return inner["args"]
        if (
            inner.get("args") == []
            and isinstance(inner.get("kwargs"), dict)
            and set(inner) == {"args", "kwargs"}
        ):
            return inner["kwargs"]
    return inner


def tool_result(value: object) -> Any:
    """What a tool returned: the content of a tool message, or the value itself."""
    found = structure(unwrapped(value, "output", "outputs", "result"))
    if not isinstance(found, dict):
        inner = unwrapped(value, "output", "outputs", "result")
        return meant(inner)
    body = mapping(found.get("kwargs")) if "lc" in found else found
    if "content" in body and str(body.get("type")) in {"tool", "ToolMessage"}:
        return meant(body["content"])
    return found
