"""How late an event loop runs that carries 200 traced streams while another process fills the disk."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

from bench import child
from bench.corpus import Text, cached
from bench.report import Measured, Plan, quantile

MUST_MS = 10.0
STREAMS = 200
ITEMS = 40
PAUSE = 0.025
"""Seconds between two items of a stream: 200 streams of 40 items a second."""
BEAT = 0.001
PROMPT, ITEM = 1_000, 50
"""Characters."""
FILE_BYTES = 2 << 30
BLOCK = 4 << 20
SYNC_BYTES = 256 << 20
Stream = Callable[[str], AsyncIterator[str]]


def write_disk(path: str, seconds: str) -> None:
    """Write at full disk speed into one file of at most 2 GiB, then delete it; answer the MB/s."""
    block = os.urandom(BLOCK)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    end = time.monotonic() + float(seconds)
    written = 0
    try:
        while time.monotonic() < end:
            os.pwrite(handle, block, written % FILE_BYTES)
            written += BLOCK
            if written % SYNC_BYTES == 0:
                os.fdatasync(handle)
    finally:
        os.close(handle)
        with suppress(OSError):
            Path(path).unlink()
    child.answer(written / 1e6 / float(seconds))


async def _lag(late: list[float], stop: asyncio.Event) -> None:
    """Note how many ms later than asked each beat comes."""
    while not stop.is_set():
        began = time.perf_counter()
        await asyncio.sleep(BEAT)
        late.append((time.perf_counter() - began - BEAT) * 1e3)


async def _consume(stream: Stream, text: Text, stop: asyncio.Event, delay: float) -> int:
    await asyncio.sleep(delay)
    done = 0
    while not stop.is_set():
        async for _ in stream(text.take(PROMPT)):
            pass
        done += 1
    return done


async def _phase(stream: Stream, text: Text, seconds: float, late: list[float]) -> int:
    stop = asyncio.Event()
    dice = random.Random(1)
    tasks = [
        asyncio.create_task(_consume(stream, text, stop, dice.uniform(0, ITEMS * PAUSE)))
        for _ in range(STREAMS)
    ]
    await asyncio.sleep(ITEMS * PAUSE)  # until all run, and out of step
    beat = asyncio.create_task(_lag(late, stop))
    await asyncio.sleep(seconds)
    stop.set()
    await beat
    return sum(await asyncio.gather(*tasks))


def loop(corpus: str, store: str, seconds: str) -> None:
    """Alternate untraced and traced phases; answer the lags in ms."""
    import spanreel

    spanreel.configure(store=store, keeper="off")
    text = Text(corpus)

    async def plain(prompt: str) -> AsyncIterator[str]:
        del prompt
        for _ in range(ITEMS):
            await asyncio.sleep(PAUSE)
            yield text.take(ITEM)

    traced: Stream = spanreel.trace.llm(plain)
    late: dict[str, list[float]] = {"plain": [], "traced": []}
    streams = 0

    async def both() -> None:
        nonlocal streams
        for number in range(2):
            for name in ("plain", "traced") if number else ("traced", "plain"):
                done = await _phase(traced if name == "traced" else plain, text, float(seconds), late[name])
                streams += done if name == "traced" else 0

    asyncio.run(both())
    shares = (0.5, 0.99, 0.999, 1.0)
    answer: dict[str, object] = {name: [quantile(v, s) for s in shares] for name, v in late.items()}
    child.answer(answer | {"n": len(late["traced"]), "streams": streams})


def lag(plan: Plan) -> Measured:
    """Run the loop beside the neighbour that writes."""
    seconds = 1.5 if not plan.quick else 0.4
    corpus = cached(plan.scratch)
    with child.scratch(plan.scratch, "streams") as folder:
        writer = child.start(
            "streams", "write_disk", folder / "filler", 4 * (seconds + 2 * ITEMS * PAUSE) - 1
        )
        try:
            found = child.run("streams", "loop", corpus, folder / "store", seconds)
            speed = child.finish(writer)
        finally:
            child.end_group(writer)
    p50, p99, p999, worst = found["traced"]
    untraced = found["plain"]
    return Measured(
        f"p99.9 {p999:.1f} ms (p50 {p50:.2f}, p99 {p99:.1f}, max {worst:.1f})",
        p999 <= MUST_MS,
        f"{found['n']} beats, {found['streams']} streams",
        None,
        ((
            f"untraced beside the same neighbour: p99.9 {untraced[2]:.1f} ms, max {untraced[3]:.1f}; "
            f"the neighbour wrote {speed:.0f} MB/s"
        ),),
    )  # fmt: skip


if __name__ == "__main__":
    _parts: dict[str, Callable[..., None]] = {"write_disk": write_disk, "loop": loop}
    _parts[sys.argv[1]](*sys.argv[2:])
