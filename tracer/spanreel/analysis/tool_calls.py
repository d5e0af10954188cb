"""What models asked for, and what ran: each tool call of an answer beside the tool span that ran it.

`link` pairs the calls of one trace, by the call's id where the tool's span has it, else by name and arguments
(JSON-equal, in any order of keys), each run answering one call. A call without a run was not run; a tool span
without a call was not asked for. Pure; what does not read as a call is none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from spanreel.analysis.dialects.messages import answers
from spanreel.analysis.dialects.reading import mapping, structure

By = Literal["id", "arguments", "name"]
ID_KEYS: Final = ("gen_ai.tool.call.id", "tool_call.id", "ai.toolCall.id", "tool.id", "tool_call_id")
"""Where a tool's span may name the call that it runs."""
_MARKS: Final = ("tool_call", "tool_use", "tool-call", "function_call", "functionCall", "toolUse")
"""An answer that asks for a tool holds one of these words, in any dialect."""
_PREFIXES: Final = ("execute_tool ", "tools/call ")
_DEPTH: Final = 200


@dataclass(frozen=True, slots=True)
class Step:
    """A span of a trace, as far as it asks for tools or is one. `input`, `output`, `attributes` are JSON text."""

    span_id: str
    parent_id: str | None
    kind: str
    name: str
    tool_name: str | None
    start_ns: int
    end_ns: int | None = None
    duplicate_of: str | None = None
    input: str | None = None
    """Of a tool; nothing is read of others'."""
    output: str | None = None
    """Of a model, and of a tool, whose result may name the call (LangChain's ToolMessage)."""
    attributes: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call: who asked for it and what ran it. One of the two is there."""

    asked_by: str | None
    """The span of the model's answer; None for a tool that nobody asked for."""
    call_id: str | None
    name: str
    arguments: str | None
    """JSON text: as asked, or as run where nobody asked."""
    ran_as: str | None
    """The tool's span; None where the call was not run."""
    by: By | None = None
    """What told that the two belong together."""

    @property
    def asked(self) -> bool:
        """Whether a model asked for it."""
        return self.asked_by is not None

    @property
    def ran(self) -> bool:
        """Whether a tool ran."""
        return self.ran_as is not None


@dataclass(slots=True, eq=False)
class _Ask:
    step: Step
    call_id: str | None
    name: str
    arguments: Any


@dataclass(slots=True, eq=False)
class _Run:
    step: Step
    names: frozenset[str]
    call_id: str | None
    forms: tuple[bytes, ...]
    """The arguments it ran with, in every way they may have been asked for; none where they are not known."""
    given: Any


def link(steps: Iterable[Step]) -> list[ToolCall]:
    """Pair the calls of one trace with their runs: the calls in the order they were asked, then runs nobody asked for."""
    every = list(steps)
    asks = _asks(every)
    runs = _runs(every)
    found: dict[int, tuple[_Run, By]] = {}
    taken: set[int] = set()
    for by, fits in _TIERS:
        for place, ask in enumerate(asks):
            if place in found:
                continue
            run = _first(ask, runs, taken, fits)
            if run is not None:
                found[place] = (run, by)
                taken.add(id(run))
    calls = []
    for place, ask in enumerate(asks):
        pair = found.get(place)
        calls.append(
            ToolCall(
                asked_by=ask.step.span_id,
                call_id=ask.call_id,
                name=ask.name,
                arguments=_text(ask.arguments),
                ran_as=None if pair is None else pair[0].step.span_id,
                by=None if pair is None else pair[1],
            )
        )
    return calls + [_unasked(run) for run in runs if id(run) not in taken]


def _unasked(run: _Run) -> ToolCall:
    return ToolCall(None, run.call_id, _name(run.step), run.step.input, run.step.span_id)


def _first(ask: _Ask, runs: Sequence[_Run], taken: set[int], fits: Any) -> _Run | None:
    """The earliest run that is free, begins no sooner than the model's call, and fits."""
    for run in runs:
        if id(run) not in taken and run.step.start_ns >= ask.step.start_ns and fits(ask, run):
            return run
    return None


def _same_id(ask: _Ask, run: _Run) -> bool:
    return ask.call_id is not None and ask.call_id == run.call_id


def _same_arguments(ask: _Ask, run: _Run) -> bool:
    return _may_be(ask, run) and _key(ask.arguments) in run.forms


def _within_arguments(ask: _Ask, run: _Run) -> bool:
    """Everything that was asked for is among what ran; the rest are the tool's defaults."""
    if not (_may_be(ask, run) and isinstance(ask.arguments, dict) and isinstance(run.given, dict)):
        return False
    return all(
        name in run.given and _key(run.given[name]) == _key(value) for name, value in ask.arguments.items()
    ) and bool(ask.arguments)


def _only_argument(ask: _Ask, run: _Run) -> bool:
    """The one value that was asked for, without its name, as LangChain calls a tool of one argument."""
    if not (_may_be(ask, run) and isinstance(ask.arguments, dict) and len(ask.arguments) == 1):
        return False
    return not isinstance(run.given, dict) and _key(next(iter(ask.arguments.values()))) == _key(run.given)


def _same_name(ask: _Ask, run: _Run) -> bool:
    """A tool whose arguments were not recorded."""
    return _may_be(ask, run) and not run.forms


def _may_be(ask: _Ask, run: _Run) -> bool:
    """Whether names agree and ids do not speak against it."""
    return ask.name in run.names and (
        ask.call_id is None or run.call_id is None or ask.call_id == run.call_id
    )


_TIERS: Final[tuple[tuple[By, Any], ...]] = (
    ("id", _same_id),
    ("arguments", _same_arguments),
    ("arguments", _within_arguments),
    ("arguments", _only_argument),
    ("name", _same_name),
)


# -- what was asked ---------------------------------------------------------------------


def _asks(steps: Sequence[Step]) -> list[_Ask]:
    """The calls in the answers of models, by time; one that two spans tell of (by its id) counts once."""
    found: list[_Ask] = []
    seen: set[tuple[str, str]] = set()
    for step in _ordered(step for step in steps if step.kind == "llm" and step.duplicate_of is None):
        for call_id, name, arguments in asked(step.output):
            if call_id is not None:
                if (call_id, name) in seen:
                    continue
                seen.add((call_id, name))
            found.append(_Ask(step, call_id, name, arguments))
    return found


def asked(output: str | None) -> list[tuple[str | None, str, Any]]:
    """The calls in one answer: (id, name, arguments). Tools that the provider runs itself are none of these."""
    if output is None or not any(mark in output for mark in _MARKS):
        return []
    try:
        said = answers(structure(output))
    except (ValueError, RecursionError):
        return []
    return [
        (_word(part.get("id")), str(part["name"]), _meant(part.get("arguments")))
        for message in said
        for part in message.get("parts") or ()
        if part.get("type") == "tool_call" and isinstance(part.get("name"), str) and part["name"]
    ]


# -- what ran ---------------------------------------------------------------------------


def _runs(steps: Sequence[Step]) -> list[_Run]:
    """The tools that ran, by time; a tool's span below one of the same tool is a part of that run."""
    places = {step.span_id: step for step in steps}
    tools = [step for step in steps if step.kind == "tool" and step.duplicate_of is None]
    return [_run(step) for step in _ordered(tools) if not _inner(step, places)]


def _inner(step: Step, places: dict[str, Step]) -> bool:
    names = _names(step)
    above = places.get(step.parent_id or "")
    for _ in range(_DEPTH):
        if above is None or above is step:
            return False
        if above.kind == "tool" and not names.isdisjoint(_names(above)):
            return True
        above = places.get(above.parent_id or "")
    return False


def _run(step: Step) -> _Run:
    given = _meant(step.input)
    about = mapping(_meant(step.attributes))
    call_id = next((_word(about[key]) for key in ID_KEYS if about.get(key)), None)
    call_id = call_id or _answers(step.output)
    return _Run(step, _names(step), call_id, tuple(_forms(step.input, given)), given)


def _answers(output: str | None) -> str | None:
    """The call that a tool's result says it answers."""
    if output is None or '"tool_call_id"' not in output:
        return None
    result = mapping(_meant(output))
    for held in (result, mapping(result.get("data")), mapping(result.get("kwargs"))):
        found = held.get("tool_call_id")
        if isinstance(found, str) and found:
            return found
    return None


def _forms(text: str | None, given: Any) -> list[bytes]:
    """What was asked may be the arguments by name, or the one argument that holds them all."""
    if text is None:
        return []
    forms = [given]
    if isinstance(given, dict):
        forms += [_meant(inner) for key, inner in given.items() if len(given) == 1 or key in _HOLDERS]
    return [_key(form) for form in forms]


_HOLDERS: Final = frozenset({"arguments", "args", "kwargs", "input", "tool_input", "parameters"})


def _names(step: Step) -> frozenset[str]:
    return frozenset(name for name in (step.tool_name, _name(step), step.name) if name)


def _name(step: Step) -> str:
    if step.tool_name:
        return step.tool_name
    for prefix in _PREFIXES:
        if step.name.startswith(prefix):
            return step.name.removeprefix(prefix)
    return step.name


# -- values -----------------------------------------------------------------------------


def _ordered(steps: Iterable[Step]) -> list[Step]:
    return sorted(steps, key=lambda step: (step.start_ns, step.span_id))


def _word(value: object) -> str | None:
    return str(value) if value not in (None, "") else None


def _meant(value: object) -> Any:
    """The value that JSON text spells; nothing at all is no arguments."""
    if not isinstance(value, str):
        return {} if value is None else value
    try:
        return orjson.loads(value) if value.strip() else {}
    except orjson.JSONDecodeError:
        return value


def _key(value: object) -> bytes:
    """One text for all values that are equal as JSON: keys sorted, 1.0 is 1."""
    try:
        return orjson.dumps(_even(value, 0), option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError, RecursionError):
        return repr(value).encode("utf-8", "replace")


def _even(value: Any, depth: int) -> Any:
    if depth > _DEPTH:
        raise ValueError("too deep to compare")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    if isinstance(value, dict):
        return {str(key): _even(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_even(inner, depth + 1) for inner in value]
    return value


def _text(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except (TypeError, ValueError, RecursionError):
        return orjson.dumps(repr(value)).decode()


def by_span(calls: Iterable[ToolCall]) -> dict[str, list[ToolCall]]:
    """Span id -> the calls that it asked for, or that it ran."""
    found: dict[str, list[ToolCall]] = defaultdict(list)
    for call in calls:
        for span_id in {call.asked_by, call.ran_as} - {None}:
            found[str(span_id)].append(call)
    return dict(found)
