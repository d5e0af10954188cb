"""botocore, below boto3 and every AWS client: the session that sends each attempt, event streams included.

The bytes of the response are seen in urllib3, which botocore reads them from; the exceptions are botocore's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from spanreel import clock
from spanreel.guard import guard
from spanreel.protocols.table import may_be_ours
from spanreel.wire import encodings, urllib3
from spanreel.wire.nesting import Nested, leave
from spanreel.wire.patching import Switch, Undo, patch, together
from spanreel.wire.recording import Recording, begin, wanted

if TYPE_CHECKING:
    from types import ModuleType

    from spanreel.wire.patching import Wrapper


def install(module: ModuleType) -> Undo:
    """Wrap the session class of `botocore.httpsession`; the result takes the wrapper out again."""
    switch = Switch()
    return together(switch, [patch(module.URLLib3Session, "send", _send(switch))])


def _send(switch: Switch) -> Wrapper:
    def send(wrapped: Any, _session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        request = args[0] if args else kwargs.get("request")
        if getattr(request, "method", "") != "POST" or not switch.on:
            return wrapped(*args, **kwargs)
        recording = _begin(request)
        if recording is None:
            return wrapped(*args, **kwargs)
        handed = urllib3.Awaited(recording, handed=True)
        waiting = urllib3.awaited.set(handed)
        mark = Nested()
        try:
            response = wrapped(*args, **kwargs)
        except BaseException as error:
            recording.finish("raised", error)
            raise
        finally:
            mark.leave()
            leave(urllib3.awaited, waiting)
        if handed.take() is not None:
            _watch(recording, response)
        return response

    return send


def _watch(recording: Recording, response: Any) -> None:
    """Take a response that the hook on urllib3 has not seen: it is not in, or something else sent the request."""
    with guard("wire.botocore.answered"):
        content = response._content  # noqa: SLF001 - the property would read it
        if content is None and hasattr(response.raw, "_raw_read"):
            urllib3.watch(recording, response.raw)
            return
        recording.answered(response.status_code, response.headers, encodings.decode)
        recording.log.note(content or b"", clock.tick())
        recording.finish("exhausted" if content is not None else "collected")


def _begin(request: Any) -> Recording | None:
    """Open the recording of a prepared request; credentials stand in headers and query, which are not taken."""
    try:
        url = str(request.url)
        if not may_be_ours(urllib3.path_of(url)) or not wanted():
            return None
        body = urllib3.content(request.body)
        if body is None:
            return None
        parts = urlsplit(url)
        address = urllib3.address_of(parts.scheme, parts.hostname or "", parts.port, parts.path)
        return begin(method="POST", address=address, headers=request.headers, body=body)
    except Exception as error:
        guard.caught("wire.botocore.begin", error)
        return None
