"""RQ: each job is a span below the one that queued it; the ticket goes in the job's meta.

RQ's worker imports the program's module in the child that does the job, while it does it. Where that brings
spanreel in, the job under way is recorded from there on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import wrapt

from spanreel.guard import guard
from spanreel.instruments import tasks
from spanreel.instruments.patching import Patches

_begun: dict[str, tasks.Running] = {}
"""Jobs that were under way when the hook came, by id."""


def install(module: ModuleType) -> Callable[[], None]:
    """Wrap `rq.job.Job`; returns what takes the wrappers out again."""
    patches = Patches()
    job: Any = module.Job

    def create(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        made = wrapped(*args, **kwargs)
        if patches.on:
            with guard("rq.create"):
                found = tasks.ticket()
                if found is not None:
                    made.meta = {**made.meta, tasks.KEY: found}
        return made

    def perform(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        running = _begin(instance) if patches.on else None
        if running is None:
            return wrapped(*args, **kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            running.end(error=error)
            raise
        running.end(result=result, returned=True)
        return result

    patches.replace(job, "create", wrapt.FunctionWrapper(vars(job)["create"], create))
    patches.replace(job, "perform", wrapt.FunctionWrapper(vars(job)["perform"], perform))
    with guard("rq.late"):
        _late(module, patches)
    return patches.undo


def _begin(job: Any) -> tasks.Running | None:
    with guard("rq.begin"):
        return tasks.begin(
            job.meta.get(tasks.KEY),
            job.func_name or "job",
            args=tuple(job.args or ()),
            kwargs=job.kwargs,
            attributes={
                "messaging.system": "rq",
                "messaging.operation.type": "process",
                "messaging.message.id": job.id,
                "messaging.destination.name": job.origin,
                "rq.retries": job.number_of_retries,
                "rq.retries_left": job.retries_left,
            },
        )
    return None


def _late(module: Any, patches: Patches) -> None:
    """Begin the span of the job under way; it ends where the worker takes down how the job went."""
    job = module.get_current_job()
    if job is None:
        return
    running = _begin(job)
    if running is None:
        return
    _begun[job.id] = running
    for name, loaded in list(sys.modules.items()):
        if name == "rq.worker" or name.startswith("rq.worker."):
            for owner in [value for value in vars(loaded).values() if isinstance(value, type)]:
                for method in ("handle_job_success", "handle_job_failure"):
                    original = vars(owner).get(method)
                    if original is not None and not isinstance(original, wrapt.FunctionWrapper):
                        patches.replace(owner, method, wrapt.FunctionWrapper(original, _went))


def _went(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
    with guard("rq.went"):
        job = kwargs.get("job", args[0] if args else None)
        running = _begun.pop(getattr(job, "id", ""), None)
        if running is not None:
            error = sys.exc_info()[1]
            running.end(result=getattr(job, "_result", None), returned=error is None, error=error)
    return wrapped(*args, **kwargs)
