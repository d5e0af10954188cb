"""What caches could have served: exact repeats, and beginnings of prompts that requests share. Estimates.

A repeat is a request that is word for word an earlier one to the same model, while a cache of one's own would
keep the answer. A shared beginning is found as a provider's cache finds it: by blocks from the start of the
prompt (tools, then system, then messages), among requests to the same model while the provider keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson

from spanreel.analysis.rates import USD
from spanreel_exporters.duckdb.bill_results import CacheReport

if TYPE_CHECKING:
    from spanreel.analysis.pricing import Prices

PROVIDER_TTL_S: Final = 300.0
"""Five minutes from the last use: OpenAI "5 to 10 minutes of inactivity", Anthropic's default."""
LEAST_TOKENS: Final = 1_024
"""Shorter prompts are not cached (OpenAI and Anthropic, most models)."""
BLOCK: Final = 512
"""Characters that are compared at once: about the 128 tokens in which OpenAI's cache counts."""
_PREFIX: Final = ("gen_ai.tool.definitions", "gen_ai.system_instructions")
_REQUEST: Final = "gen_ai.request."


@dataclass(slots=True)
class _Sum:
    repeats: int = 0
    repeats_usd: Decimal = Decimal(0)
    missed: int = 0
    missed_usd: Decimal = Decimal(0)


@dataclass(slots=True)
class _State:
    answered: dict[bytes, int] = field(default_factory=dict)
    """Request -> when its answer was there (ns)."""
    seen: dict[bytes, int] = field(default_factory=dict)
    """Beginning -> when it was last sent."""
    requests: int = 0
    unpriced: int = 0
    given: int = 0
    cached: int = 0
    shared: int = 0
    names: dict[str | None, _Sum] = field(default_factory=dict)


def report(requests: Iterable[dict[str, Any]], ttl_s: float, prices: Prices) -> CacheReport:
    """Go through the requests (`Bill.requests`, by time) as a cache would."""
    state = _State()
    for request in requests:
        state.requests += 1
        state.given += request["input_tokens"] or 0
        state.cached += request["cache_read_tokens"] or 0
        found = state.names.setdefault(request["root"], _Sum())
        head, body, rest = _parts(request)
        if not _repeats(state, found, request, head + body + rest, round(ttl_s * 1e9)):
            _shares(state, found, request, head + body, prices)
    ranked = sorted(
        state.names.items(), key=lambda item: (-(item[1].repeats_usd + item[1].missed_usd), str(item[0]))
    )
    total = _Sum()
    for one in state.names.values():
        total.repeats += one.repeats
        total.repeats_usd += one.repeats_usd
        total.missed += one.missed
        total.missed_usd += one.missed_usd
    return CacheReport(
        requests=state.requests, ttl_s=ttl_s, repeats=total.repeats, repeats_cost_usd=total.repeats_usd,
        repeats_unpriced=state.unpriced, input_tokens=state.given, cached_tokens=state.cached,
        shared_tokens=state.shared, missed_tokens=total.missed, missed_usd=total.missed_usd,
        by_name=tuple(
            (name, one.repeats, one.repeats_usd, one.missed, one.missed_usd)
            for name, one in ranked
            if one.repeats or one.missed
        ),
    )  # fmt: skip


def _parts(request: dict[str, Any]) -> tuple[str, str, str]:
    """(what stands before the messages, the messages, parameters) of a request, as text."""
    try:
        attributes = orjson.loads(request["attributes"] or "{}")
    except ValueError:
        attributes = {}
    head = "".join(_text(attributes[key]) for key in _PREFIX if key in attributes)
    parameters = {key: value for key, value in attributes.items() if key.startswith(_REQUEST)}
    return head, request["input"], orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS, default=str).decode()


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def _digest(*parts: object) -> bytes:
    found = blake2b(digest_size=16)
    for part in parts:
        found.update(str(part).encode("utf-8", "surrogatepass") + b"\0")
    return found.digest()


def _repeats(state: _State, found: _Sum, request: dict[str, Any], text: str, ttl_ns: int) -> bool:
    """Whether an answer to the same request was there already; a cache keeps the first one for its time."""
    key = _digest(request["kind"], request["provider"], request["model"], text)
    since = state.answered.get(key)
    if since is None or not since <= request["start_ns"] <= since + ttl_ns:
        if since is None or request["start_ns"] > since + ttl_ns:
            state.answered[key] = request["end_ns"] or request["start_ns"]
        return False
    found.repeats += 1
    if request["cost"] is None:
        state.unpriced += 1
    else:
        found.repeats_usd += request["cost"]
    return True


def _shares(state: _State, found: _Sum, request: dict[str, Any], prompt: str, prices: Prices) -> None:
    """Count the tokens of the longest beginning that was sent before, less those that the provider's cache served."""
    given = request["input_tokens"] or 0
    now = request["start_ns"]
    running = blake2b(
        f"{request['provider']}\0{request['model']}\0".encode("utf-8", "surrogatepass"), digest_size=16
    )
    longest = 0
    for end in range(BLOCK, len(prompt) + 1, BLOCK):
        running.update(prompt[end - BLOCK : end].encode("utf-8", "surrogatepass"))
        key = running.digest()
        last = state.seen.get(key)
        if last is not None and now - last <= PROVIDER_TTL_S * 1e9:
            longest = end
        state.seen[key] = now
    if request["kind"] != "llm" or not longest or given < LEAST_TOKENS:
        return
    shared = given * longest // len(prompt)
    if shared < LEAST_TOKENS:
        return
    state.shared += shared
    missed = max(shared - (request["cache_read_tokens"] or 0), 0)
    found.missed += missed
    if missed and request["cost"] is not None:
        rates = prices.rates(
            request["provider"], request["model"], now, request["service_tier"] or "", request["host"]
        )
        if rates is not None:
            fresh, read = rates.steps[0].per_token[:2]
            if fresh is not None and read is not None:
                found.missed_usd += Decimal(missed * max(fresh - read, 0)) / USD
