"""The service behind a span of another instrumentation: its OTLP resource, not the process that wrote the journal."""

from __future__ import annotations

from typing import Any, Final

from spanreel.analysis.dialects.foreign import OTLP
from spanreel.analysis.record import RawSpan

_ENVIRONMENT: Final = ("deployment.environment.name", "deployment.environment")


def adopt(raw: RawSpan) -> None:
    """Give an imported span the service, environment and release of its resource; other spans stay as they are."""
    told = raw.attributes.get(OTLP)
    if not isinstance(told, dict):
        return
    found = told.get("resource")
    resource: dict[str, Any] = found if isinstance(found, dict) else {}
    environment = next((resource[key] for key in _ENVIRONMENT if key in resource), None)
    raw.process = {
        "procid": raw.process.get("procid"),
        "service": _text(resource.get("service.name")),
        "environment": _text(environment),
        "release": _text(resource.get("service.version")),
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
