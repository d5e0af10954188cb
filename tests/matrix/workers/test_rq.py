"""RQ with a real Redis: forked work horses, the spawning and the simple worker, retries, failures."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.covers("RQ", package="rq")

JOBS = """
import asyncio
import spanreel

@spanreel.trace(name="leaf")
def leaf(n):
    return n * 2

def double(n, note=""):
    return leaf(n)

async def later(n):
    await asyncio.sleep(0)
    return leaf(n)

def broken():
    leaf(0)
    raise LookupError("no such thing")

@spanreel.trace
def decorated(n):
    return leaf(n)
"""
QUEUE = """
import os, time, redis, spanreel
from rq import Queue, Retry
from rq.job import Job
import rq_jobs
queue = Queue(connection=redis.Redis.from_url(os.environ["REDIS_URL"]))

def wait(jobs):
    end = time.monotonic() + 60
    while not all(job.get_status(refresh=True) in ("finished", "failed") for job in jobs):
        assert time.monotonic() < end, [job.get_status() for job in jobs]
        time.sleep(0.05)
    return [job.return_value(refresh=True) for job in jobs]

@spanreel.trace(name="order")
def order():
{body}

with spanreel.session("s-9"):
    order()
"""


def _queue(body: str) -> str:
    return QUEUE.replace("{body}", body)


@pytest.mark.parametrize("kind", ["rq.Worker", "rq.SimpleWorker", "rq.SpawnWorker"])
@pytest.mark.parametrize("spanreel_run", [False, True], ids=["decorator", "run"])
def test_each_job_is_below_its_enqueuer(site: Any, kind: str, spanreel_run: bool) -> None:
    """Forked, spawned and in-process jobs, with the decorator alone and under `spanreel run`: 0 lost, 0 orphans, input, result, session; the user's own meta stays."""
    site.write("rq_jobs.py", JOBS)
    with site.worker(
        "rq.cli", "worker", "-w", kind, "-u", site.environment["REDIS_URL"], "-q", spanreel_run=spanreel_run
    ):
        site.run(
            _queue("""
    mine = {"own": 1}
    jobs = [queue.enqueue(rq_jobs.double, n, note="x", meta=mine) for n in range(3)]
    jobs += queue.enqueue_many([Queue.prepare_data(rq_jobs.later, (3,)), Queue.prepare_data("rq_jobs.decorated", (4,))])
    assert wait(jobs) == [0, 2, 4, 6, 8]
    assert mine == {"own": 1}
    assert jobs[0].get_meta()["own"] == 1""")
        )
        found = site.until(12)
    by_id = {span.span: span for span in found}
    root = next(span for span in found if span.name == "order")
    assert {(span.trace, span.flags) for span in found} == {(root.trace, "")}
    assert [span.name for span in found if span.parent not in by_id] == ["order"]
    jobs = [span for span in found if span.attributes.get("messaging.system") == "rq"]
    assert sorted(span.name for span in jobs) == ["rq_jobs.decorated"] + ["rq_jobs.double"] * 3 + [
        "rq_jobs.later"
    ]
    assert {(span.parent, span.status, span.kind) for span in jobs} == {(root.span, "ok", "chain")}
    assert sorted(span.output for span in jobs) == [0, 2, 4, 6, 8]
    leaves = [span for span in found if span.name == "leaf"]
    for leaf in leaves:
        above = by_id[leaf.parent]
        above = by_id[above.parent] if above.name == "decorated" else above
        assert above in jobs
        assert leaf.output == above.output
    assert {span.attributes["session.id"] for span in found} == {"s-9"}
    assert all(span.ended and span.ends == 1 for span in found)


def test_retries_and_failures_are_seen(site: Any) -> None:
    """A job that fails and is retried twice is three spans below its enqueuer, each with its error; RQ sees the failure as without us."""
    site.write("rq_jobs.py", JOBS)
    with site.worker("rq.cli", "worker", "-u", site.environment["REDIS_URL"], "-q"):
        site.run(
            _queue("""
    job = queue.enqueue(rq_jobs.broken, retry=Retry(max=2))
    wait([job])
    assert job.is_failed and "LookupError" in job.latest_result().exc_string""")
        )
        found = site.until(7)
    root = next(span for span in found if span.name == "order")
    tries = sorted((span for span in found if span.name == "rq_jobs.broken"), key=lambda span: span.start_ns)
    assert [(s.parent, s.status, s.error["type"], s.error["message"]) for s in tries] == [
        (root.span, "error", "LookupError", "no such thing")
    ] * 3
    assert [s.attributes["rq.retries_left"] for s in tries] == [2, 1, 0]
    assert "in broken" in tries[0].error["stacktrace"]
