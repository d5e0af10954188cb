"""The JSON routes that the browser parts ask. Read-only; the gate before them has let the request in."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import orjson
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from spanreel.errors import QueryError, SpanreelError
from spanreel_viewer import answers, shell, source, theme

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

MOST_ROWS: Final = 500
"""Rows of the list in one answer at most."""
_STATES: Final = {"running", "interrupted", "abandoned"}
_STATUSES: Final = {"error", "ok", "unset"}


class BadRequestError(ValueError):
    """A parameter that cannot be used; the text names it."""


def routes() -> list[BaseRoute]:
    """Return the viewer's own routes: pages, data, assets, health."""
    data: list[BaseRoute] = [
        Route(f"/api/{name}", _endpoint(answer))
        for name, answer in (
            ("traces", _traces), ("summary", _summary), ("trace", _trace), ("span", _span), ("changes", _changes),
        )
    ]  # fmt: skip
    return [
        *[Route(path, _page) for path in shell.PAGES],
        *data,
        Route("/healthz", _health),
        Route("/assets/theme.css", _theme),
        Mount("/assets", _Assets(directory=str(files("spanreel_viewer") / "assets"))),
    ]


class _Assets(StaticFiles):
    """Static files that are asked for again each time (304 when unchanged): an upgrade shows at once."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        font = Path(str(args[0])).suffix == ".woff2"
        answer.headers["cache-control"] = "public, max-age=604800" if font else "no-cache"
        return answer


def _json(value: Any, status: int = 200) -> Response:
    body = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    return Response(body, status, {"cache-control": "no-store"}, media_type="application/json")


def _endpoint(answer: Callable[[Request], Any]) -> Callable[[Request], Response]:
    """Wrap an answer so that every failure is a sentence for the reader. Runs in a worker thread."""

    def endpoint(request: Request) -> Response:
        try:
            return _json(answer(request))
        except BadRequestError as error:
            return _json({"error": str(error)}, 400)
        except QueryError as error:
            several = "several traces" in str(error)
            return _json(
                {"error": _sentence(error), "hint": "Write more of the id." if several else ""},
                409 if several else 404,
            )
        except (SpanreelError, source.NoSourceError) as error:
            return _json({"error": _sentence(error), "hint": "`spanreel doctor` says more."}, 503)
        except Exception as error:
            return _json(
                {"error": f"{type(error).__name__}: {error}", "hint": "`spanreel doctor` says more."}, 500
            )

    return endpoint


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]


def _number(request: Request, name: str, default: int, most: int) -> int:
    given = request.query_params.get(name)
    if given is None:
        return default
    if not given.isascii() or not given.isdigit() or len(given) > 12:
        raise BadRequestError(f"{name} must be a whole number, not {given[:40]!r}")
    return min(int(given), most)


def _traces(request: Request) -> dict[str, Any]:
    """A page of the list: filters `q`, `status`, `model`, `kind`; `offset`, `limit`."""
    asked = request.query_params
    wanted = asked.get("status") or None
    if wanted is not None and wanted not in _STATES | _STATUSES:
        raise BadRequestError(f"status must be one of {', '.join(sorted(_STATES | _STATUSES))}")
    place = source.current()
    token = place.pulse.token()
    if not place.exists():
        return answers.nothing() | {"token": token}
    with place.open() as reader:
        page = reader.traces(
            text=asked.get("q") or None,
            status=wanted if wanted in _STATUSES else None,
            state=wanted if wanted in _STATES else None,
            model=asked.get("model") or None,
            kind=asked.get("kind") or None,
            limit=_number(request, "limit", 100, MOST_ROWS),
            offset=_number(request, "offset", 0, 10**9),
        )
    return answers.page(page) | {"token": token}


def _summary(_request: Request) -> dict[str, Any]:
    place = source.current()
    if not place.exists():
        return {
            "traces": 0,
            "store": place.name,
            "store_path": place.path,
            "others": answers.other_stores(place),
        }
    with place.open() as reader:
        told = answers.summary(reader, place)
    return told if told["traces"] else told | {"others": answers.other_stores(place)}


def _trace(request: Request) -> dict[str, Any]:
    named = request.query_params.get("trace", "")
    if not named:
        raise BadRequestError("trace is missing: /api/trace?trace=ID")
    place = source.current()
    token = place.pulse.token()
    with place.open() as reader:
        return answers.trace(reader, named, now_ns=time.time_ns()) | {"token": token}


def _span(request: Request) -> dict[str, Any]:
    trace_id, span_id = request.query_params.get("trace", ""), request.query_params.get("span", "")
    if not trace_id or not span_id:
        raise BadRequestError("trace and span are needed: /api/span?trace=ID&span=ID")
    with source.current().open() as reader:
        return answers.span(reader, trace_id, span_id)


def _changes(_request: Request) -> dict[str, Any]:
    return {"token": source.current().pulse.token()}


def _health(_request: Request) -> Response:
    return _json({"ok": True})


def _theme(_request: Request) -> Response:
    return Response(theme.css(), headers={"cache-control": "no-cache"}, media_type="text/css")


def _page(request: Request) -> Response:
    """The page; an address that names a trace leads to it also without the path."""
    named = {name: request.query_params[name] for name in ("trace", "span") if name in request.query_params}
    if request.url.path == "/" and named.get("trace"):
        return RedirectResponse(f"/trace?{urlencode(named)}", 302, {"cache-control": "no-store"})
    return HTMLResponse(
        shell.page(request.url.path, request.url.query), headers={"cache-control": "no-store"}
    )
