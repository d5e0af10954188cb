"""Celery with a real Redis: prefork, threads, retries, chains, acks late, workers that are killed."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.covers("Celery", package="celery")

APP = """
import os, signal, time
from celery import Celery
import spanreel

app = Celery("shop", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1, task_acks_on_failure_or_timeout=True,
                broker_transport_options={"visibility_timeout": 2}, visibility_timeout=2)

@spanreel.trace(name="leaf")
def leaf(n):
    return n * 2

@app.task
def double(n, *, note=""):
    return leaf(n)

@app.task(bind=True, max_retries=3)
def stubborn(self, n):
    if self.request.retries < 2:
        raise self.retry(exc=ValueError(f"try {self.request.retries}"), countdown=0)
    return leaf(n)

@app.task
def broken():
    raise LookupError("no such thing")

@app.task(acks_late=True, reject_on_worker_lost=True)
def killed_once(path):
    leaf(0)
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return leaf(1)

@app.task
def nightly():
    return leaf(7)
"""
LEAVES = "celery", "-A", "shop_app", "worker", "-l", "warning", "--without-gossip", "--without-mingle"


def _queue(body: str) -> str:
    return f"""
import spanreel
from shop_app import *
from celery import chain, group, chord
@spanreel.trace(name="order")
def order():
{body}
with spanreel.session("s-9", user="u-9", tags=["t"]):
    order()
"""


def test_four_prefork_processes_lose_nothing(site: Any) -> None:
    """300 tasks queued in a traced function, 4 prefork processes: 0 lost, 0 orphans, every task below its enqueuer with input, result, session; the decorator alone, no other call."""
    site.write("shop_app.py", APP)
    with site.worker(*LEAVES, "--pool", "prefork", "-c", "4"):
        site.run(
            _queue("""
    results = [double.delay(n, note="x") for n in range(300)]
    assert [result.get(timeout=60) for result in results] == [n * 2 for n in range(300)]""")
        )
        found = site.until(601)
    root = next(span for span in found if span.name == "order")
    tasks = [span for span in found if span.name == "shop_app.double"]
    leaves = [span for span in found if span.name == "leaf"]
    assert (len(tasks), len(leaves), len(found)) == (300, 300, 601)
    assert {span.parent for span in tasks} == {root.span}
    assert Counter(span.parent for span in leaves) == Counter(span.span for span in tasks)
    assert {(span.trace, span.flags) for span in found} == {(root.trace, "")}
    assert {(span.kind, span.status) for span in tasks} == {("chain", "ok")}
    assert sorted(span.input["n"] for span in tasks) == list(range(300))
    assert {span.input["note"] for span in tasks} == {"x"}
    assert all(span.output == 2 * span.input["n"] for span in tasks)
    assert {span.attributes["session.id"] for span in found} == {"s-9"}
    assert {span.attributes["user.id"] for span in leaves} == {"u-9"}
    assert len({span.attributes["messaging.message.id"] for span in tasks}) == 300
    assert {span.attributes["celery.state"] for span in tasks} == {"SUCCESS"}
    assert all(span.ended and span.ends == 1 for span in found)


def test_retries_and_failures_are_seen(site: Any) -> None:
    """A task that is retried twice is three spans beside each other below the enqueuer, with the error of each try; a failure has type, message and stack."""
    site.write("shop_app.py", APP)
    with site.worker(*LEAVES, "--pool", "prefork", "-c", "2"):
        site.run(
            _queue("""
    assert stubborn.delay(4).get(timeout=60) == 8
    assert broken.delay().get(timeout=60, propagate=False).args == ("no such thing",)""")
        )
        found = site.until(6)
    root = next(span for span in found if span.name == "order")
    tries = sorted(
        (s for s in found if s.name == "shop_app.stubborn"), key=lambda s: s.attributes["celery.retries"]
    )
    assert [(s.attributes["celery.retries"], s.attributes["celery.state"], s.status) for s in tries] == [
        (0, "RETRY", "error"), (1, "RETRY", "error"), (2, "SUCCESS", "ok"),
    ]  # fmt: skip
    assert [s.error["message"] for s in tries[:2]] == ["try 0", "try 1"]
    assert {s.parent for s in tries} == {root.span}
    assert len({s.attributes["messaging.message.id"] for s in tries}) == 1
    failed = next(span for span in found if span.name == "shop_app.broken")
    assert (failed.status, failed.error["type"], failed.error["message"]) == (
        "error",
        "LookupError",
        "no such thing",
    )
    assert "in broken" in failed.error["stacktrace"]


def test_chains_groups_and_chords_stay_in_one_trace(site: Any) -> None:
    """Chain, group and chord: one trace, each step below the enqueuer or the step that queued it."""
    site.write("shop_app.py", APP)
    with site.worker(*LEAVES, "--pool", "threads", "-c", "4"):
        site.run(
            _queue("""
    assert chain(double.s(1), double.s(), double.s()).apply_async().get(timeout=60) == 8
    assert group(double.s(n) for n in range(3)).apply_async().get(timeout=60) == [0, 2, 4]
    chord([double.s(5), double.s(6)], nightly.si()).apply_async().get(timeout=60)
    assert double.apply((2,)).get() == 4""")
        )
        found = site.until(1 + 2 * (3 + 3 + 3 + 1))
    by_id = {span.span: span for span in found}
    root = next(span for span in found if span.name == "order")
    assert {span.trace for span in found} == {root.trace}
    assert [span.name for span in found if span.parent not in by_id] == ["order"]
    assert Counter(span.name for span in found) == {
        "order": 1,
        "shop_app.double": 9,
        "shop_app.nightly": 1,
        "leaf": 10,
    }
    steps = [
        span
        for span in found
        if span.name == "shop_app.double" and span.input["n"] in (2, 4) and by_id[span.parent] is not root
    ]
    assert [by_id[span.parent].name for span in steps] == ["shop_app.double"] * 2
    eager = [span for span in found if span.attributes.get("celery.eager")]
    assert [span.parent for span in eager] == [root.span]


@pytest.mark.crash
def test_a_worker_that_is_killed_in_its_task(site: Any, tmp_path: Path) -> None:
    """acks_late and a child killed by SIGKILL in the middle: the interrupted try stays, its children too, and the redelivered one is beside it."""
    site.write("shop_app.py", APP)
    with site.worker(*LEAVES, "--pool", "prefork", "-c", "1"):
        site.run(
            _queue(f"""
    assert killed_once.delay({str(tmp_path / "flag")!r}).get(timeout=60) == 2""")
        )
        found = site.until(5)
    root = next(span for span in found if span.name == "order")
    tries = sorted(
        (span for span in found if span.name == "shop_app.killed_once"), key=lambda span: span.start_ns
    )
    assert [span.ended for span in tries] == [False, True]
    assert [span.parent for span in tries] == [root.span] * 2
    leaves = Counter(span.parent for span in found if span.name == "leaf")
    assert leaves == {tries[0].span: 1, tries[1].span: 2}


def test_tasks_from_outside_of_every_trace(site: Any) -> None:
    """A task that nobody traced queued: only its own traced functions with the decorator alone; a trace of its own under `spanreel run`."""
    site.write("shop_app.py", APP)
    with site.worker(*LEAVES, "--pool", "prefork", "-c", "1"):
        site.run("from shop_app import *\nassert nightly.delay().get(timeout=60) == 14")
        found = site.until(1)
    assert [(span.name, span.parent) for span in found] == [("leaf", "")]
    with site.worker(*LEAVES, "--pool", "prefork", "-c", "1", spanreel_run=True) as worker:
        site.run("from shop_app import *\nassert nightly.delay().get(timeout=60) == 14")
        found = site.until(3)
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.wait(60) == 0
    task, leaf = (span for span in found[1:])
    assert [(span.name, span.parent) for span in (task, leaf)] == [
        ("shop_app.nightly", ""),
        ("leaf", task.span),
    ]
