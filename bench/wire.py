"""What the hooks on HTTP libraries cost: other traffic that they leave alone, and a streamed chat that they record."""

from __future__ import annotations

import asyncio
import http.client
import importlib
import json
import socket
import statistics
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from time import perf_counter_ns, sleep
from types import SimpleNamespace
from typing import Any

from bench import child
from bench.report import Measured, Plan, quantile

MUST_US = 2.0
CALLS = 4_000
MUST_SHARE = 0.05
CHUNKS = 200
GAP = 0.001
"""Seconds between two chunks of a paced stream: a thousand tokens a second."""
LATER_MS = 0.2
"""By so much the 99th percentile of a chunk's way may be longer and still none counts as delayed: on two shared
cores the bare client's own wanders by as much."""
LIBRARIES = ("httpx", "httpx2", "urllib3", "aiohttp", "botocore")


# -- other traffic ----------------------------------------------------------------------------------------


def _stubs() -> dict[str, tuple[list[tuple[Any, str]], Callable[[], list[Callable[[], object]]]]]:
    """Library -> (methods to leave empty, so that the hook is what is timed; the calls to time)."""
    found: dict[str, Any] = {}
    for name in ("httpx", "httpx2"):
        if find_spec(name) is None:
            continue
        library: Any = importlib.import_module(name)

        def calls(library: Any = library) -> list[Callable[[], object]]:
            client, asynchronous = library.Client(), library.AsyncClient()
            requests = [library.Request(method, "http://test/v1/models") for method in ("GET", "POST")]
            return [_sending(one, request) for one in (client, asynchronous) for request in requests]

        found[name] = [(library.Client, "send"), (library.AsyncClient, "send")], calls
    if find_spec("urllib3") is not None:
        import urllib3

        pool = urllib3.HTTPConnectionPool

        def of_pool() -> list[Callable[[], object]]:
            one: Any = pool("test")

            def both(method: str) -> object:  # what one request goes through
                one.urlopen(method, "/v1/models", body=b"{}")
                return one._make_request(None, method, "/v1/models")  # noqa: SLF001

            return [lambda: both("GET"), lambda: both("POST")]

        found["urllib3"] = [(pool, "urlopen"), (pool, "_make_request")], of_pool
    if find_spec("aiohttp") is not None:
        import aiohttp

        def of_session() -> list[Callable[[], object]]:
            session: Any = aiohttp.ClientSession.__new__(aiohttp.ClientSession)
            return [_asking(session, method) for method in ("GET", "POST")]

        found["aiohttp"] = [(aiohttp.ClientSession, "_request")], of_session
    if find_spec("botocore") is not None:
        httpsession: Any = importlib.import_module("botocore.httpsession")

        def of_botocore() -> list[Callable[[], object]]:
            session = httpsession.URLLib3Session()
            requests = [
                SimpleNamespace(method=method, url="http://test/bucket/key") for method in ("GET", "POST")
            ]
            return [_sending(session, request) for request in requests]

        found["botocore"] = [(httpsession.URLLib3Session, "send")], of_botocore
    return found


def _sending(client: Any, request: Any) -> Callable[[], object]:
    return lambda: client.send(request)


def _asking(session: Any, method: str) -> Callable[[], object]:
    return lambda: session._request(method, "http://test/v1/models")  # noqa: SLF001


def _nothing(*_args: object, **_options: object) -> None:
    """Take the place of a library's method."""


def other(store: str, rounds: str) -> None:
    """Time calls that are none of ours through empty methods, hooked and bare in turn; answer us by library."""
    import spanreel
    from spanreel import wire

    spanreel.configure(store=store, keeper="off")
    found: dict[str, float] = {}
    for name, (methods, calls) in _stubs().items():
        for owner, method in methods:
            setattr(owner, method, _nothing)
        wire.uninstall()
        timed: dict[bool, list[float]] = {False: [], True: []}
        with spanreel.span("root"):
            for _ in range(int(rounds)):
                for hooked in (False, True):
                    if hooked:
                        wire.install([name])
                    times = []
                    for call in calls():
                        began = perf_counter_ns()
                        for _ in range(CALLS):
                            call()
                        times.append((perf_counter_ns() - began) / CALLS / 1e3)
                    timed[hooked].append(max(times))
                    wire.uninstall()
        found[name] = statistics.median(timed[True]) - statistics.median(timed[False])
    child.answer(found)


def unrelated(plan: Plan) -> Measured:
    """A GET and a POST to a path that is no protocol's, inside a trace, through each hook."""
    rounds = plan.pick(15, 3)
    with child.scratch(plan.scratch, "wire") as folder:
        found: dict[str, float] = child.run("wire", "other", folder / "store", rounds)
    text = ", ".join(f"{name} {found[name]:.2f}" for name in LIBRARIES if name in found)
    missing = [name for name in LIBRARIES if name not in found]
    notes = (f"not installed: {', '.join(missing)}",) if missing else ()
    worst = max(found.values(), default=MUST_US + 1)
    return Measured(f"{text} us", worst <= MUST_US, f"{len(found)} x {rounds} x {CALLS} calls", notes=notes)


# -- a streamed chat --------------------------------------------------------------------------------------


def _chunk(number: int, sent_ns: int) -> bytes:
    head: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
    }
    choice = {"index": 0, "delta": {"content": f" word{number}"}, "logprobs": None, "finish_reason": None}
    event = b"data: " + json.dumps({**head, "choices": [choice], "sent_ns": sent_ns}).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


def _end() -> bytes:
    usage = {"prompt_tokens": 20, "completion_tokens": CHUNKS, "total_tokens": CHUNKS + 20}
    last = {
        "id": "chatcmpl-1",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "usage": usage,
    }
    event = b"data: " + json.dumps(last).encode() + b"\n\ndata: [DONE]\n\n"
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event)


def _serve(connection: socket.socket) -> None:
    """Answer every request on a connection with a stream, chunk by chunk, each with the time it was sent at."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    file = connection.makefile("rb")
    with suppress(OSError):
        while file.readline():
            headers = http.client.parse_headers(file)
            body = json.loads(file.read(int(headers["content-length"])))
            connection.sendall(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            for number in range(CHUNKS):
                connection.sendall(_chunk(number, perf_counter_ns()))
                if body["gap"]:
                    sleep(body["gap"])
            connection.sendall(_end())


def server() -> None:
    """Listen until killed; say the port first."""
    listener = socket.create_server(("127.0.0.1", 0))
    child.answer(listener.getsockname()[1])
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _sync_streams(library: Any, url: str, body: dict[str, Any]) -> Callable[[], tuple[float, list[float]]]:
    client = library.Client()

    def one() -> tuple[float, list[float]]:
        late: list[float] = []
        began = perf_counter_ns()
        with client.stream("POST", url, json=body) as response:
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    now = perf_counter_ns()
                    sent = json.loads(line[6:]).get("sent_ns")
                    if sent is not None:
                        late.append((now - sent) / 1e6)
        return (perf_counter_ns() - began) / 1e6, late

    return one


def _async_streams(library: Any, url: str, body: dict[str, Any]) -> Callable[[], tuple[float, list[float]]]:
    runner = asyncio.Runner()
    client = library.AsyncClient()

    async def stream() -> tuple[float, list[float]]:
        late: list[float] = []
        began = perf_counter_ns()
        async with client.stream("POST", url, json=body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    now = perf_counter_ns()
                    sent = json.loads(line[6:]).get("sent_ns")
                    if sent is not None:
                        late.append((now - sent) / 1e6)
        return (perf_counter_ns() - began) / 1e6, late

    return lambda: runner.run(stream())


def chat(library: str, how: str, gap: str, port: str, store: str, rounds: str) -> None:
    """Read streams with the hook in and out in turn; answer for both the walls and the delays of chunks in ms."""
    import spanreel
    from spanreel import wire

    spanreel.configure(store=store, keeper="off")
    messages = [{"role": "user", "content": "How long does a bicycle chain last? " * 10}]
    body = {"model": "gpt-4o-mini", "stream": True, "messages": messages, "gap": float(gap)}
    make = _async_streams if how == "async" else _sync_streams
    one = make(importlib.import_module(library), f"http://127.0.0.1:{port}/v1/chat/completions", body)
    walls: dict[bool, list[float]] = {False: [], True: []}
    delays: dict[bool, list[float]] = {False: [], True: []}
    with spanreel.span("root"):
        wire.install()
        one()
        wire.uninstall()
        one()
        for number in range(int(rounds)):
            for hooked in (False, True) if number % 2 else (True, False):
                if hooked:
                    wire.install()
                wall, late = one()
                wire.uninstall()
                walls[hooked].append(wall)
                delays[hooked] += late
    child.answer({"walls": [walls[False], walls[True]], "delays": [delays[False], delays[True]]})


def _ways(plan: Plan) -> Iterator[tuple[str, str, float, int]]:
    """(library, sync or async, gap, rounds)"""
    for library in ("httpx", "httpx2"):
        if find_spec(library) is not None:
            for how in ("sync", "async"):
                yield library, how, GAP, plan.pick(8, 2)
                yield library, how, 0.0, plan.pick(60, 5)


def streamed(plan: Plan) -> Measured:
    """A streamed chat of 200 chunks over loopback, its server in another process, hooked and bare in turn.

    What is promised is held against a thousand chunks a second, faster than models are. Without any gap the
    server's writes run together, the client reads a dozen chunks at once, and the whole takes 3 ms.
    """
    listening = child.start("wire", "server")
    assert listening.stdout is not None
    port = int(listening.stdout.readline().removeprefix(child.MARK))
    shares: dict[str, float] = {}
    later: dict[str, float] = {}
    notes: list[str] = []
    streams = 0
    try:
        with child.scratch(plan.scratch, "wire") as folder:
            for number, (library, how, gap, rounds) in enumerate(_ways(plan)):
                found = child.run("wire", "chat", library, how, gap, port, folder / f"store{number}", rounds)
                streams += 2 * rounds
                label = f"{library} {how}"
                bare, hooked = (statistics.median(walls) for walls in found["walls"])
                if not gap:
                    notes.append(f"{label}, without a gap: {bare:.1f} -> {hooked:.1f} ms")
                    continue
                ways = [[quantile(sorted(late), share) for share in (0.5, 0.99)] for late in found["delays"]]
                shares[label] = hooked / bare - 1
                later[label] = ways[1][1] - ways[0][1]
                notes.append(
                    f"{label}: {bare:.0f} -> {hooked:.0f} ms; a chunk's way p50 {ways[0][0]:.2f} -> {ways[1][0]:.2f} ms, "
                    f"p99 {ways[0][1]:.2f} -> {ways[1][1]:.2f} ms"
                )
    finally:
        child.end_group(listening)
    text = ", ".join(f"{label} {share:+.1%}" for label, share in shares.items())
    reached = max(shares.values()) <= MUST_SHARE and max(later.values()) <= LATER_MS
    return Measured(text, reached, f"{streams} streams of {CHUNKS} chunks", notes=tuple(notes))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
