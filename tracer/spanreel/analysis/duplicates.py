"""Several spans of one call: two instrumentations of a client, a framework over a client, a client over the wire.

`settle` finds which of the spans of some traces tell of the same call of a model, keeps one of each and makes the
others its duplicates. A pure function of the set of spans: neither their order nor the batches they came in matter.

Spans are one call when one encloses the other (as an ancestor with nothing but plain steps between, as a sibling,
by the same response id, or as the root of a trace of its own with the same answer or the same failure, where one of
the two has no id), they come from different instrumentations or are nested, and nothing that both tell differs:
process, response id, model, tokens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from spanreel.analysis.record import USAGE_FIELDS, Canonical

CALL_KINDS: Final = frozenset({"llm", "embedding", "rerank"})
STEP_KINDS: Final = frozenset({"retrieval", "tool"})
"""Kinds of which a framework may make two spans, one right below the other (`retrieve` and `_retrieve`)."""
PAIRED_KINDS: Final = CALL_KINDS | STEP_KINDS
TRANSPARENT: Final = frozenset({"span", "chain"})
"""Kinds that may stand between two spans of one call."""
RUN_IDS: Final = ("lc_run-", "run-")
"""LangChain's ids of its own runs: what its spans have of a stream, whose answer it gives no id."""
TOLERANCE_NS: Final = 5_000_000
"""How far the inner of two spans of one call may stick out: clocks are read before and after the work."""
_UNENDED: Final = (1 << 63) - 1
Key = tuple[str, str]
"""(trace id, span id)"""


@dataclass(slots=True)
class Step:
    """A span, as far as its place matters."""

    key: Key
    parent: str | None
    kind: str
    start_ns: int
    end_ns: int | None

    @property
    def end(self) -> int:
        """When it ended; a span that runs has no end."""
        return _UNENDED if self.end_ns is None else self.end_ns


@dataclass(slots=True)
class Told(Step):
    """A span that tells of something that others may tell of, too: a call of a model, a retrieval, a tool."""

    source: str
    """The instrumentation that made it: a scope's name, `wire`, or `spanreel`."""
    row: Canonical
    failed: bool = False
    process: tuple[object, ...] = ()
    """Which process it says that it ran in (process id, host); None for what it does not say."""
    aggregate: list[Told] = field(default_factory=list)
    """Calls whose usage this one's is the sum of, where it tells none itself."""

    @property
    def end(self) -> int:
        """When it ended, or when its first token came, if that was later."""
        if self.end_ns is None:
            return _UNENDED
        return max(self.end_ns, self.first_ns)

    @property
    def first_ns(self) -> int:
        """When its first token came; its start where it does not say."""
        return self.start_ns + int((self.row.ttft_ms or 0) * 1e6)

    @property
    def outlived(self) -> bool:
        """Whether the answer came after the span had ended, as of streams that are read later on."""
        return self.end_ns is not None and self.first_ns > self.end_ns


def settle(steps: Iterable[Step], calls: Sequence[Told]) -> dict[Key, Key]:
    """Find the duplicates among `calls`: (trace, span) -> the one that is kept.

    `steps` are the other spans of the same traces. The rows are changed: those that are kept gain what only
    their duplicates tell, the duplicates lose usage and cost.
    """
    ordered = sorted(calls, key=lambda call: (call.start_ns, -call.end, call.key))
    places: dict[Key, Step] = {step.key: step for step in steps}
    places.update({call.key: call for call in ordered})
    into: dict[Key, Key] = {}
    _nested(ordered, places, into)
    _side_by_side(ordered, into)
    _across(ordered, into)
    kept = {key: _root(key, into) for key in into}
    _share(ordered, kept)
    return kept


def _root(key: Key, into: Mapping[Key, Key]) -> Key:
    while key in into:
        key = into[key]
    return key


# -- one inside the other ---------------------------------------------------------------


def _nested(ordered: Sequence[Told], places: Mapping[Key, Step], into: dict[Key, Key]) -> None:
    children: dict[Key, list[Told]] = defaultdict(list)
    for call in ordered:
        outer = _enclosing(call, places)
        if outer is not None:
            children[outer.key].append(call)
    for outer in ordered:
        inner = children.get(outer.key)
        if inner:
            for key, kept in _of_one_call(outer, inner).items():
                into.setdefault(key, kept)


def _enclosing(call: Told, places: Mapping[Key, Step]) -> Told | None:
    """The nearest call above, of the same kind, with plain steps between."""
    trace, above = call.key[0], call.parent
    for _ in range(64):
        step = places.get((trace, above)) if above else None
        if step is None or step.key == call.key or not _overlap(step, call):
            return None
        if isinstance(step, Told):
            return step if step.kind == call.kind else None
        if step.kind not in TRANSPARENT:
            return None
        above = step.parent
    return None


def _of_one_call(outer: Told, inner: Sequence[Told]) -> dict[Key, Key]:
    """Which of the calls right below `outer` are its own call."""
    if outer.kind in STEP_KINDS:
        return {inner[0].key: outer.key} if len(inner) == 1 and _same_step(outer, inner[0]) else {}
    near = [call for call in inner if not _differ(outer, call)]
    counted = [call for call in near if _counts(call.row)]
    if not _counts(outer.row):
        if len(counted) > 1 and outer.kind == "llm":  # it holds several calls and is none
            return {outer.key: counted[-1].key}
        if len(counted) > 1:
            outer.aggregate = counted
        return {call.key: outer.key for call in near}
    same = [call for call in counted if _tokens_agree(outer.row, call.row) or _ids_agree(outer.row, call.row)]
    found = [call for call in near if not _counts(call.row)]
    summed = [call for call in inner if _counts(call.row) and call.kind == outer.kind]
    if len(summed) > 1 and _is_sum(outer.row, summed):
        found += summed
    elif len(same) == 1 or (same and all(_ids_agree(outer.row, call.row) for call in same)):
        found += same
    elif same:
        found.append(same[-1])
    elif len(counted) > 1 and outer.kind == "llm":  # it holds several calls and tells something of them
        return {outer.key: counted[-1].key}
    elif (
        len(counted) == 1
    ):  # the same call counted differently: cached tokens left out, a stream's first chunk
        found += counted
    return {call.key: outer.key for call in found}


def _same_step(one: Told, other: Told) -> bool:
    """Whether two tool calls have one name and no different arguments, two retrievals one query."""
    first, second = one.row, other.row
    if one.kind == "tool" and _plain(first.tool_name) != _plain(second.tool_name):
        return False
    if len(first.documents) != len(second.documents) and first.documents and second.documents:
        return False
    asked, too = _plain(first.input), _plain(second.input)
    return not asked or not too or asked in too or too in asked


def _plain(value: str | None) -> str:
    """A text without what JSON puts around it."""
    return "".join(char for char in (value or "") if char.isalnum()).lower()


def _is_sum(row: Canonical, parts: Sequence[Told]) -> bool:
    return all(
        _near(getattr(row, name) or 0, sum(getattr(call.row, name) or 0 for call in parts))
        for name in ("input_tokens", "output_tokens")
    )


# -- one beside the other ---------------------------------------------------------------


def _side_by_side(ordered: Sequence[Told], into: dict[Key, Key]) -> None:
    """Calls with one parent, of different instrumentations, one within the time of the other."""
    groups: dict[tuple[str, str | None, str], list[Told]] = defaultdict(list)
    for call in ordered:
        if call.key not in into:
            groups[call.key[0], call.parent, call.kind].append(call)
    for group in groups.values():
        if len({call.source for call in group}) > 1:
            _pair(group, into, by_answer=False)


def _across(ordered: Sequence[Told], into: dict[Key, Key]) -> None:
    """Calls wherever they stand with one response id; of two traces, with one answer or failure where one has none."""
    left = [call for call in ordered if call.key not in into and call.kind in CALL_KINDS]
    _pair_groups(left, lambda call: call.row.response_id, into)
    for sign in (_said, _sized, _refused):
        left = [call for call in left if call.key not in into]
        if any(_anonymous(call.row) for call in left):
            _pair_groups(left, sign, into)


def _pair_groups(calls: Sequence[Told], sign: Callable[[Told], object], into: dict[Key, Key]) -> None:
    groups: dict[tuple[object, str], list[Told]] = defaultdict(list)
    for call in calls:
        told = sign(call)
        if told:
            groups[told, call.kind].append(call)
    for group in groups.values():
        if len({call.source for call in group}) > 1:
            _pair(group, into, by_answer=True)


def _said(call: Told) -> object:
    """The text of an answer, or the tools it asks for: what two spans share of which one has no id of it."""
    if call.kind != "llm" or call.row.output is None:
        return None
    return _plain(
        "".join(str(part.get("content") or part.get("name") or "") for part in _parts(call.row.output))
    )


def _sized(call: Told) -> object:
    """How long an answer was: all that a span without content tells of it."""
    return call.row.output_tokens if call.kind == "llm" else None


def _refused(call: Told) -> object:
    """That there was no answer."""
    return call.failed and not _counts(call.row)


def _parts(body: str) -> list[dict[str, Any]]:
    try:
        told = orjson.loads(body)
    except ValueError:
        return []
    return [
        part
        for message in (told if isinstance(told, list) else ())
        if isinstance(message, dict) and isinstance(message.get("parts"), list)
        for part in message["parts"]
        if isinstance(part, dict)
    ]


def _anonymous(row: Canonical) -> bool:
    """Whether a call has no response id that another span of it could have."""
    return row.response_id is None or is_run(row)


def is_run(row: Canonical) -> bool:
    """Whether the response id is a framework's own, which no other span of the call has."""
    return (row.response_id or "").startswith(RUN_IDS)


def _pair(group: Sequence[Told], into: dict[Key, Key], *, by_answer: bool) -> None:
    """Join the calls of a group two by two, the best fit first; of one instrumentation no two join one other."""
    fits = sorted(
        (_distance(one, other), one.key, other.key, one, other)
        for index, one in enumerate(group)
        for other in _later(group, index, one)
        if (_one_answer if by_answer else _one_place)(one, other)
    )
    joined: dict[Key, set[str]] = {call.key: {call.source} for call in group}
    for _, _, _, one, other in fits:
        kept, spare = _preferred(one, other)
        if kept.key in into or spare.key in into or joined[kept.key] & joined[spare.key]:
            continue
        into[spare.key] = kept.key
        joined[kept.key] |= joined[spare.key]


def _later(group: Sequence[Told], index: int, one: Told) -> Iterable[Told]:
    """Those after `one` (they are ordered by their start) that begin before it ends."""
    for other in group[index + 1 :]:
        if other.start_ns > one.end:
            return
        yield other


def _one_place(one: Told, other: Told) -> bool:
    """Whether two calls below one parent are one."""
    if not _compatible(one, other):
        return False
    if one.kind in STEP_KINDS:
        return _same_step(one, other) and one.failed == other.failed
    if _ids_agree(one.row, other.row):
        return True
    agree = not (_counts(one.row) and _counts(other.row)) or _tokens_agree(one.row, other.row)
    return agree and one.failed == other.failed


def _one_answer(one: Told, other: Told) -> bool:
    """Whether two calls with one sign, wherever they stand, are one."""
    if not _compatible(one, other) or _apart(one, other):
        return False
    if one.key[0] != other.key[0] and one.parent is not None and other.parent is not None:
        return False
    if _ids_agree(one.row, other.row) and not is_run(one.row):
        return True
    if one.key[0] == other.key[0] or not (_anonymous(one.row) or _anonymous(other.row)):
        return False
    return (
        bool(_models(one.row)) and bool(_models(other.row)) and one.failed == other.failed
        and _tokens_agree(one.row, other.row) and _same_text(one.row.input, other.row.input)
        and _same_text(one.row.output, other.row.output)
    )  # fmt: skip


def _compatible(one: Told, other: Told) -> bool:
    return one.source != other.source and _encloses(one, other) and not _differ(one, other)


def _apart(one: Told, other: Told) -> bool:
    """Whether they say that they ran in different processes."""
    return any(
        mine is not None and its is not None and mine != its
        for mine, its in zip(one.process, other.process, strict=False)
    )


def _same_text(one: str | None, other: str | None) -> bool:
    """Whether the texts of two bodies are one, or one is a part of the other; a body without text says nothing."""
    first, second = (
        _plain("".join(str(part.get("content") or "") for part in _parts(body or "")))
        for body in (one, other)
    )
    return not first or not second or first in second or second in first


def _distance(one: Told, other: Told) -> tuple[bool, int]:
    """How well two spans fit: by id first, then by how close they begin and end."""
    return (
        not _ids_agree(one.row, other.row),
        abs(one.start_ns - other.start_ns)
        + (abs(one.end - other.end) if _UNENDED not in {one.end, other.end} else 0),
    )


def _preferred(one: Told, other: Told) -> tuple[Told, Told]:
    """(kept, spare): the one that tells more, else the one around the other, else the one of the smaller id."""
    first, second = _richness(one.row), _richness(other.row)
    if first != second:
        return (one, other) if first > second else (other, one)
    if one.end - one.start_ns != other.end - other.start_ns:
        return (one, other) if one.end - one.start_ns > other.end - other.start_ns else (other, one)
    return (one, other) if one.key < other.key else (other, one)


def _richness(row: Canonical) -> int:
    """How much of its content a span holds."""
    return sum(value is not None for value in (row.input, row.output))


# -- what two spans tell ------------------------------------------------------------------


def _overlap(one: Step, other: Step) -> bool:
    return one.start_ns <= other.end and other.start_ns <= one.end


def _encloses(one: Step, other: Step) -> bool:
    """Whether either lies within the other, but for the tolerance."""
    return _overlap(one, other) and (_within(one, other) or _within(other, one))


def _within(inner: Step, outer: Step) -> bool:
    if inner.start_ns < outer.start_ns - TOLERANCE_NS:
        return False
    if isinstance(outer, Told) and outer.outlived:  # nobody knows when it ended
        return inner.start_ns <= outer.end
    return inner.end <= _reach(outer)


def _reach(step: Step) -> int:
    return step.end if step.end == _UNENDED else step.end + TOLERANCE_NS


def _differ(one: Told, other: Told) -> bool:
    """Whether both say something that cannot be of one call."""
    first, second = one.row, other.row
    a, b = first.response_id, second.response_id
    if a and b and a != b and _comparable(a, b):
        return True
    mine, its = _models(first), _models(second)
    return bool(mine) and bool(its) and not any(_akin(a, b) for a in mine for b in its)


def _comparable(one: str, other: str) -> bool:
    """Whether two ids are of one maker: a framework's own run id says nothing about a provider's."""
    return _family(one) == _family(other)


def _family(identity: str) -> str:
    head = identity.partition("_")[0] if "_" in identity[:12] else identity.partition("-")[0]
    return head if head.isalpha() else ""


def _models(row: Canonical) -> set[str]:
    """Names of the model without whose it is (`openai/gpt-4o`)."""
    return {name.rsplit("/", 1)[-1].lower() for name in (row.request_model, row.response_model) if name}


def _akin(one: str, other: str) -> bool:
    """`gpt-4o` and `gpt-4o-2024-08-06`, `llama3` and `llama3:latest`."""
    return one.startswith(other) or other.startswith(one) or one in other or other in one


def _ids_agree(one: Canonical, other: Canonical) -> bool:
    return one.response_id is not None and one.response_id == other.response_id


def _counts(row: Canonical) -> bool:
    return bool(row.input_tokens) or bool(row.output_tokens)


def _tokens_agree(one: Canonical, other: Canonical) -> bool:
    """Whether the counts are the same; 0 is what some write where they were told none."""
    return all(
        not a or not b or _near(a, b)
        for a, b in ((one.input_tokens, other.input_tokens), (one.output_tokens, other.output_tokens))
    )


def _near(one: int, other: int) -> bool:
    return abs(one - other) <= 2


# -- what the kept one gains --------------------------------------------------------------


def _share(ordered: Sequence[Told], kept: Mapping[Key, Key]) -> None:
    """Give each kept call what its duplicates tell better, and take usage and cost off the duplicates."""
    by_key = {call.key: call for call in ordered}
    groups: dict[Key, list[Told]] = defaultdict(list)
    for call in ordered:
        if call.key in kept and kept[call.key] in by_key:
            groups[kept[call.key]].append(call)
    for key, others in groups.items():
        _gain(by_key[key], others)
        for other in others:
            forget_usage(other.row)


def _gain(call: Told, others: Sequence[Told]) -> None:
    row = call.row
    _gain_usage(call, others)
    for other in others:
        told = other.row
        for name in (
            "provider",
            "request_model",
            "response_model",
            "finish_reason",
            "ttft_ms",
            "service_tier",
        ):
            if getattr(row, name) is None:
                setattr(row, name, getattr(told, name))
        if row.cost_usd is None and told.cost_usd is not None:
            row.cost_usd, row.cost_source = told.cost_usd, told.cost_source
        if call.failed and row.error_type is None:
            row.error_type, row.error_message = told.error_type, row.error_message or told.error_message
        if row.request_model == row.response_model == told.response_model and told.request_model:
            row.request_model = told.request_model  # the outer one only knew which model had answered
        dated = told.response_model
        if (
            dated
            and row.response_model
            and dated != row.response_model
            and dated.startswith(row.response_model.rpartition("/")[2])
        ):
            row.response_model = dated


def _gain_usage(call: Told, others: Sequence[Told]) -> None:
    """The usage of the wire, else the kept one's own, else that of the first that has any; details from the rest."""
    row = call.row
    if call.aggregate:
        for name in USAGE_FIELDS:
            values = [value for part in call.aggregate if (value := getattr(part.row, name)) is not None]
            setattr(row, name, sum(values) if values else None)
        return
    source = _best_usage(call, others)
    if source is not None and source is not row:
        for name in USAGE_FIELDS:
            setattr(row, name, getattr(source, name))
    for other in others:
        if other.row.input_tokens == row.input_tokens:
            for name in USAGE_FIELDS:
                if getattr(row, name) is None:
                    setattr(row, name, getattr(other.row, name))


def _best_usage(call: Told, others: Sequence[Told]) -> Canonical | None:
    counted = [one for one in (call, *others) if _counts(one.row)]
    wired = next((one.row for one in counted if one.source == "wire"), None)
    if wired is not None:
        return wired
    if not counted:
        return None
    first = counted[0].row
    for one in counted[1:]:  # it counts cached tokens beside the input
        cached = (one.row.cache_read_tokens or 0) + (one.row.cache_write_tokens or 0)
        if cached and one.row.input_tokens == (first.input_tokens or 0) + cached:
            return one.row
        if not first.input_tokens and one.row.input_tokens and one.row.output_tokens == first.output_tokens:
            return one.row  # a stream whose first event, which has the input, was not looked at
    return first


def forget_usage(row: Canonical) -> None:
    """Null usage and cost; what the span reported stays in its attributes."""
    for name in USAGE_FIELDS:
        setattr(row, name, None)
    row.usage_mark = row.cost_usd = None
    row.cost_source = "repeats"
