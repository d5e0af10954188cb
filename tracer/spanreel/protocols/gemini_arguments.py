"""Arguments of a function call that Vertex AI streams: pieces of values, each with the JSON path where it belongs."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from spanreel.protocols.gemini_request import get
from spanreel.protocols.shapes import text

if TYPE_CHECKING:
    from collections.abc import Mapping

_STEP = re.compile(r"\.?([^.\[\]$'\"]+)|\[(\d+)\]|\['([^']*)'\]")
"""A step of a path such as $.a.b[0]['c']."""
_KINDS = ("stringValue", "numberValue", "boolValue")
_DEEPEST = 20


def put(arguments: dict[str, Any], change: Mapping[str, Any]) -> None:
    """Write one piece to where its path says; a string that is there already is continued."""
    steps: list[str | int] = [
        int(index) if index else name or quoted
        for name, index, quoted in _STEP.findall(text(get(change, "jsonPath")) or "")
    ][:_DEEPEST]
    holder: Any = arguments
    for step, below in pairwise([*steps, None]):
        if step is None or not _has_room(holder, step):
            return
        here = holder[step]
        if below is None:
            value = next((found for kind in _KINDS if (found := get(change, kind)) is not None), None)
            holder[step] = here + value if isinstance(here, str) and isinstance(value, str) else value
        elif not isinstance(here, dict | list):
            holder[step] = [] if isinstance(below, int) else {}
        holder = holder[step]


def _has_room(holder: Any, step: str | int) -> bool:
    """Make the place of a step, empty, if it is not there; False where the path leads nowhere."""
    if isinstance(holder, dict) and isinstance(step, str):
        holder.setdefault(step, None)
        return True
    if isinstance(holder, list) and isinstance(step, int) and step <= len(holder):
        if step == len(holder):
            holder.append(None)
        return True
    return False
