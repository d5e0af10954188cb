"""The current span goes along: threads, executors, tasks, forked and spawned processes."""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recording import Recording, spans

import spanreel


@spanreel.trace(name="leaf")
def leaf(n: int) -> int:
    return n


def _parents(recording: Recording) -> dict[str, list[str]]:
    by_id = {span.span: span.name for span in recording.spans()}
    found: dict[str, list[str]] = {}
    for span in recording.spans():
        found.setdefault(span.name, []).append(by_id.get(span.parent, span.parent))
    return found


def test_threads_and_executors(recording: Recording) -> None:
    @spanreel.trace(name="root")
    def root() -> None:
        thread = threading.Thread(target=leaf, args=(1,))
        thread.start()
        thread.join()
        timer = threading.Timer(0, leaf, (2,))
        timer.start()
        timer.join()
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(leaf, range(4))) == [0, 1, 2, 3]

    root()
    assert _parents(recording)["leaf"] == ["root"] * 6


def test_a_thread_class_of_the_programs_own_keeps_its_run(recording: Recording) -> None:
    class Worker(threading.Thread):
        def run(self) -> None:
            leaf(1)

    @spanreel.trace(name="root")
    def root() -> Worker:
        worker = Worker()
        worker.start()
        worker.join()
        return worker

    worker = root()
    assert "run" not in vars(worker)
    assert _parents(recording)["leaf"] == ["root"]


def test_a_threads_own_context_variables_are_not_touched(recording: Recording) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="thread's own")
    seen = []

    @spanreel.trace(name="root")
    def root() -> None:
        variable.set("caller's")
        thread = threading.Thread(target=lambda: seen.append(variable.get()))
        thread.start()
        thread.join()

    root()
    assert seen == ["thread's own"]


def test_asyncio_tasks_and_to_thread(recording: Recording) -> None:
    @spanreel.trace(name="root")
    async def root() -> None:
        await asyncio.gather(asyncio.to_thread(leaf, 1), asyncio.create_task(_async_leaf()))
        await asyncio.get_running_loop().run_in_executor(None, leaf, 2)

    asyncio.run(root())
    assert _parents(recording) == {"root": [""], "leaf": ["root"] * 2, "async leaf": ["root"]}


@spanreel.trace(name="async leaf")
async def _async_leaf() -> None:
    await asyncio.sleep(0)


def test_session_reaches_spans_in_threads_and_generators(recording: Recording) -> None:
    @spanreel.trace(name="gen")
    def gen() -> object:
        leaf(1)
        yield 1

    with spanreel.session("s-1", user="u-1", tags=["a"], metadata={"m": 1}):
        stream = gen()
        thread = threading.Thread(target=leaf, args=(2,))
        thread.start()
        thread.join()
    list(stream)  # type: ignore[call-overload]
    leaf(3)
    found = {(span.name, str(span.input)): span.attributes.get("session.id") for span in recording.spans()}
    assert found == {
        ("gen", "{}"): "s-1",
        ("leaf", "{'n': 1}"): "s-1",
        ("leaf", "{'n': 2}"): "s-1",
        ("leaf", "{'n': 3}"): None,
    }
    gen_span = recording.one("gen")
    assert gen_span.attributes["user.id"] == "u-1"
    assert gen_span.attributes["spanreel.tags"] == ["a"]
    assert gen_span.attributes["spanreel.metadata"] == {"m": 1}


@pytest.mark.crash
def test_a_forked_child_records_under_its_parent_and_nothing_twice(recording: Recording) -> None:
    @spanreel.trace(name="root")
    def root() -> None:
        pid = os.fork()
        if pid == 0:
            leaf(1)
            os._exit(0)
        os.waitpid(pid, 0)
        leaf(2)

    root()
    found = recording.spans()
    assert sorted((span.name, span.ends) for span in found) == [("leaf", 1), ("leaf", 1), ("root", 1)]
    assert _parents(recording)["leaf"] == ["root", "root"]
    assert len({process["pid"] for process in recording.processes()}) == 2
    assert len({span.span for span in found}) == 3


@pytest.mark.crash
def test_both_sides_of_a_fork_leave_the_traced_function_and_it_ends_once(recording: Recording) -> None:
    @spanreel.trace(name="forking")
    def forking() -> int:
        return os.fork()

    pid = forking()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert recording.one("forking").ends == 1


RECEIVER = """
import json, sys
import spanreel
with spanreel.propagation.extract(json.loads(sys.argv[1])):
    spanreel.trace(name="received")(lambda: None)()
spanreel.trace(name="after")(lambda: None)()
"""


def test_two_processes_with_the_context_passed_by_hand(recording: Recording, tmp_path: Path) -> None:
    headers: dict[str, str] = {}
    spanreel.propagation.inject(headers)
    assert headers == {}
    with spanreel.span("sender") as sender:
        spanreel.propagation.inject(headers)
    assert headers["traceparent"] == f"00-{sender.trace_id}-{sender.span_id}-01"
    for store in (recording.store, tmp_path / "another"):
        environment = {**os.environ, "SPANREEL_STORE": str(store), "SPANREEL_KEEPER": "off"}
        subprocess.run([sys.executable, "-c", RECEIVER, json.dumps(headers)], env=environment, check=True)
    received = recording.one("received")
    assert (received.trace, received.parent, received.flags) == (sender.trace_id, sender.span_id, "")
    assert recording.one("after").parent == ""
    elsewhere = next(span for span in spans(tmp_path / "another") if span.name == "received")
    assert (elsewhere.trace, elsewhere.parent, elsewhere.flags) == (sender.trace_id, sender.span_id, "f")


@given(
    st.dictionaries(
        st.sampled_from(["traceparent", "Traceparent", "TRACESTATE", "tracestate", "other"]),
        st.one_of(
            st.text(max_size=60),
            st.binary(max_size=60),
            st.none(),
            st.integers(),
            st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True),
        ),
        max_size=4,
    )
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_arrives_is_a_parent_or_none(recording: Recording, carrier: dict[str, object]) -> None:
    before = spanreel.current_trace_id()
    with spanreel.propagation.extract(carrier):
        found = spanreel.current_trace_id()
        assert len(found) == 32
    assert spanreel.current_trace_id() == before
    onward: dict[str, str] = {"tracestate": str(carrier.get("tracestate", ""))}
    spanreel.propagation.inject(onward)


def test_members_of_other_systems_stay(recording: Recording) -> None:
    carrier = {"tracestate": "a=1, b=2,spanreel=old," + ",".join(f"c{n}=1" for n in range(40))}
    with spanreel.span("sender") as sender:
        spanreel.propagation.inject(carrier)
    members = carrier["tracestate"].split(",")
    assert members[0].startswith(f"spanreel={sender.span_id}-")
    assert members[1:3] == ["a=1", "b=2"]
    assert len(members) == 32  # W3C's limit
    assert sum(member.startswith("spanreel=") for member in members) == 1


PREFORK = """
import os
import spanreel

spanreel.configure(service_name="x")  # loads the recorder, and records nothing yet

@spanreel.trace(name="leaf")
def leaf():
    pass

for _ in range(4):
    if os.fork() == 0:
        for _ in range(10):
            leaf()
        os._exit(0)
for _ in range(4):
    os.wait()
"""


@pytest.mark.crash
def test_processes_forked_before_the_first_span_draw_ids_of_their_own(tmp_path: Path) -> None:
    store = tmp_path / "store"
    environment = {**os.environ, "SPANREEL_STORE": str(store), "SPANREEL_KEEPER": "off"}
    subprocess.run([sys.executable, "-c", PREFORK], env=environment, check=True)
    assert len({span.span for span in spans(store)}) == len({span.trace for span in spans(store)}) == 40


PROGRAM = """
import multiprocessing as mp
from concurrent.futures import ProcessPoolExecutor
import spanreel

@spanreel.trace(name="leaf")
def leaf(n):
    return n

@spanreel.trace(name="root")
def root():
    process = mp.get_context("spawn").Process(target=leaf, args=(1,))
    process.start()
    process.join()
    with ProcessPoolExecutor(1, mp_context=mp.get_context("spawn")) as pool:
        assert list(pool.map(leaf, [2, 3])) == [2, 3]
    pool = mp.get_context("fork").Pool(1)
    assert pool.apply(leaf, (4,)) == 4
    pool.close()
    pool.join()

if __name__ == "__main__":
    root()
"""


@pytest.mark.crash
def test_spawned_processes_and_pools(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    store = tmp_path / "store"
    environment = {**os.environ, "SPANREEL_STORE": str(store), "SPANREEL_KEEPER": "off"}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = spans(store)
    root = next(span for span in found if span.name == "root")
    assert sorted((span.name, span.parent) for span in found) == [("leaf", root.span)] * 4 + [("root", "")]
    assert {span.trace for span in found} == {root.trace}


@pytest.mark.crash
def test_traceparent_from_the_environment_is_a_foreign_parent(tmp_path: Path) -> None:
    store = tmp_path / "store"
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    environment = {
        **os.environ,
        "SPANREEL_STORE": str(store),
        "SPANREEL_KEEPER": "off",
        "TRACEPARENT": parent,
    }
    code = "import spanreel; spanreel.trace(name='f')(lambda: 1)()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    (seen,) = spans(store)
    assert (seen.trace, seen.parent, seen.flags) == (parent[3:35], parent[36:52], "f")
