"""The options of `@trace`, settled at decoration time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

OPTIONS = ("kind", "name", "ignore", "attributes", "capture")


class Options(NamedTuple):
    """What the calls of one decorated callable have in common."""

    kind: str
    name: str | None
    ignore: tuple[str, ...]
    attributes: Mapping[str, Any]
    capture: bool


def truth(text: str | None) -> bool:
    """Whether an environment variable says yes."""
    return (text or "").strip().lower() in {"1", "true", "yes", "on"}


def switched_off() -> bool:
    """Whether SPANREEL_DISABLED or OTEL_SDK_DISABLED forbid recording in this process."""
    return truth(os.environ.get("SPANREEL_DISABLED")) or truth(os.environ.get("OTEL_SDK_DISABLED"))
