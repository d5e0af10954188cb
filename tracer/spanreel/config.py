"""Arguments and environment variables -> one frozen `Settings`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from spanreel.errors import ConfigurationError
from spanreel.options import truth

Capture = Literal["full", "metadata", "none"]
Keeper = Literal["auto", "on", "off"]
Instrument = Literal["trace", "all", "off"]
Redact = Callable[..., Any] | Sequence[str] | str | bool | None

BODY_LIMIT = 1 << 20
"""Bytes of one captured cell; beyond it head, tail, length and hash are kept."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, with where it came from already decided."""

    store: Path | None = None
    service_name: str | None = None
    environment: str | None = None
    release: str | None = None
    resource: tuple[tuple[str, str], ...] = ()
    capture: Capture = "full"
    redact: Redact = None
    sample_rate: float = 1.0
    keeper: Keeper = "auto"
    instrument: Instrument = "trace"
    join: bool = False
    span_processors: tuple[Any, ...] = ()
    disabled: bool = False
    body_limit: int = BODY_LIMIT

    def merged(self, **options: Any) -> Settings:
        """A copy with `configure()`'s arguments applied; `None` leaves a setting as it is.

        Raises ConfigurationError for an unknown name (naming the nearest) or a value out of range.
        """
        checked: dict[str, Any] = {}
        for name, value in options.items():
            if name not in _CONFIGURABLE:
                raise ConfigurationError(_unknown(name))
            if value is not None:
                checked[name] = _CONFIGURABLE[name](name, value)
        return replace(self, **checked)


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, _CONFIGURABLE, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"configure() has no option {name!r}{hint} (options: {', '.join(_CONFIGURABLE)})"


def _path(_name: str, value: object) -> Path:
    return Path(os.fspath(value)).expanduser()  # type: ignore[call-overload, unused-ignore]


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{name} must be a non-empty string, not {value!r}")
    return value


def _choice(options: tuple[str, ...]) -> Callable[[str, object], str]:
    def check(name: str, value: object) -> str:
        if value not in options:
            raise ConfigurationError(f"{name} must be one of {', '.join(options)}, not {value!r}")
        return str(value)

    return check


def _rate(name: str, value: object) -> float:
    try:
        rate = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        rate = -1.0
    if not 0.0 <= rate <= 1.0:
        raise ConfigurationError(f"{name} must be a number from 0 to 1, not {value!r}")
    return rate


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, not {value!r}")
    return value


def _processors(name: str, value: object) -> tuple[Any, ...]:
    items = tuple(value) if isinstance(value, Sequence) else (value,)
    for item in items:
        if not (hasattr(item, "on_start") and hasattr(item, "on_end")):
            raise ConfigurationError(f"{name} takes OpenTelemetry SpanProcessors, not {type(item).__name__}")
    return items


def _redact(_name: str, value: object) -> Any:
    from spanreel.redaction import Redactor

    Redactor.checked(value)
    return value


_CONFIGURABLE: dict[str, Callable[[str, Any], Any]] = {
    "store": _path,
    "service_name": _text,
    "capture": _choice(get_args(Capture)),
    "redact": _redact,
    "sample_rate": _rate,
    "keeper": _choice(get_args(Keeper)),
    "join": _flag,
    "span_processors": _processors,
}


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings of the environment alone. Never raises.

    For a value that cannot be used the default holds, since a typing slip in a deployment must not stop a
    program.
    """

    def value(name: str, check: Callable[[str, Any], Any], default: Any) -> Any:
        text = environ.get(name, "").strip()
        if not text:
            return default
        try:
            return check(name, text.lower() if check in _LOWER else text)
        except ConfigurationError:
            return default

    resource = _resource(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    known = dict(resource)
    return Settings(
        store=value("SPANREEL_STORE", _path, None),
        service_name=environ.get("OTEL_SERVICE_NAME") or known.get("service.name") or None,
        environment=known.get("deployment.environment.name") or known.get("deployment.environment"),
        release=known.get("service.version"),
        resource=tuple(resource),
        capture=value("SPANREEL_CAPTURE", _CAPTURE, "full"),
        redact=environ.get("SPANREEL_REDACT") or None,
        sample_rate=value("SPANREEL_SAMPLE_RATE", _rate, 1.0),
        keeper=value("SPANREEL_KEEPER", _KEEPER, "auto"),
        instrument=value("SPANREEL_INSTRUMENT", _INSTRUMENT, "trace"),
        disabled=truth(environ.get("SPANREEL_DISABLED")) or truth(environ.get("OTEL_SDK_DISABLED")),
    )


_CAPTURE = _choice(get_args(Capture))
_KEEPER = _choice(get_args(Keeper))
_INSTRUMENT = _choice(get_args(Instrument))
_LOWER = (_CAPTURE, _KEEPER, _INSTRUMENT)


def _resource(text: str) -> list[tuple[str, str]]:
    """OTEL_RESOURCE_ATTRIBUTES: `key=value,key=value`, percent-encoded (OpenTelemetry resource SDK spec)."""
    from urllib.parse import unquote

    pairs = []
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if equals and key.strip():
            pairs.append((key.strip(), unquote(value.strip())))
    return pairs
