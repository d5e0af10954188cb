"""Celery: each task is a span below the one that queued it, in every pool, through Celery's own signals.

Retries are spans of their own beside each other (`celery.retries` counts them), redelivered messages too. A
worker that dies leaves its task interrupted; nothing of it is lost.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from spanreel.guard import guard
from spanreel.instruments import tasks
from spanreel.instruments.patching import parameters

_UID = "spanreel"
_OWN = "celery."
"""Celery's own tasks (chord_unlock, backend_cleanup): the trace goes through them, they have no span."""
_FAILED = frozenset({"FAILURE", "RETRY", "REJECTED"})
_running: dict[str, list[tasks.Running | None]] = {}


def install(module: ModuleType) -> Callable[[], None]:
    """Connect to `celery.signals`; returns what disconnects again."""
    signals: Any = module
    wanted = (
        (signals.before_task_publish, _before_publish),
        (signals.task_prerun, _prerun),
        (signals.task_postrun, _postrun),
    )
    for signal, receiver in wanted:
        signal.connect(receiver, weak=False, dispatch_uid=f"{_UID}.{receiver.__name__}")
    with guard("celery.late"):
        _late()

    def undo() -> None:
        for signal, receiver in wanted:
            signal.disconnect(dispatch_uid=f"{_UID}.{receiver.__name__}")

    return undo


def _late() -> None:
    """Begin the span of the task that is being done, where it is the first to record anything here."""
    state: Any = sys.modules.get("celery._state")
    task = state.get_current_task() if state is not None else None
    if task is not None and task.request.id not in _running and not task.request.called_directly:
        _prerun(task_id=task.request.id, task=task, args=task.request.args, kwargs=task.request.kwargs)


def _before_publish(headers: Any = None, **_details: Any) -> None:
    with guard("celery.publish"):
        if not isinstance(headers, dict):
            return
        if headers.get(tasks.KEY) and headers.get("id") in _running:
            return  # a retry: it stays beside this attempt, with the ticket that came with it
        found = tasks.ticket()
        if found is not None:
            headers[tasks.KEY] = found


def _prerun(task_id: str = "", task: Any = None, args: Any = (), kwargs: Any = None, **_details: Any) -> None:
    with guard("celery.prerun"):
        running: tasks.Running | None = None
        _running.setdefault(task_id, []).append(None)
        request = task.request
        carried = _carried(request)
        if task.name.startswith(_OWN):
            running = tasks.passing(carried)
        else:
            running = tasks.begin(
                carried,
                task.name,
                names=parameters(task.run),
                args=tuple(args or ()),
                kwargs=kwargs,
                attributes=_about(task_id, request),
            )
        _running[task_id][-1] = running


def _about(task_id: str, request: Any) -> dict[str, Any]:
    delivery = request.delivery_info or {}
    return {
        "messaging.system": "celery",
        "messaging.operation.type": "process",
        "messaging.message.id": task_id,
        "messaging.destination.name": delivery.get("routing_key"),
        "celery.retries": request.retries or 0,
        "celery.redelivered": bool(delivery.get("redelivered")) or None,
        "celery.eager": bool(request.is_eager) or None,
    }


def _carried(request: Any) -> Any:
    """The ticket: a header of its own, which Celery puts among the request's attributes."""
    found = getattr(request, tasks.KEY, None)
    return found if found is not None else (getattr(request, "headers", None) or {}).get(tasks.KEY)


def _postrun(task_id: str = "", retval: Any = None, state: str | None = None, **_details: Any) -> None:
    with guard("celery.postrun"):
        waiting = _running.get(task_id)
        if not waiting:
            return
        running = waiting.pop()
        if not waiting:
            del _running[task_id]
        if running is None:
            return
        error: BaseException | None = None
        if state is None:
            error = sys.exc_info()[1]  # SystemExit, or a signal's: it goes on after this
        elif state in _FAILED and isinstance(retval, BaseException):
            error = getattr(retval, "exc", None) if state == "RETRY" else retval
            error = error if isinstance(error, BaseException) else None
        running.end(
            result=retval,
            returned=state == "SUCCESS",
            error=error,
            attributes={"celery.state": state} if state else None,
        )
