"""`spanreel show TRACE`: one trace as a tree."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from spanreel import terminal
from spanreel.analysis.tool_calls import ToolCall
from spanreel.command import Command, add_json, store_path
from spanreel_exporters.commands.listing import how_long
from spanreel_exporters.duckdb.reader import DuckReader
from spanreel_exporters.duckdb.results import SpanBodies, SpanRow, Trace

_COLOURS = {
    "llm": "magenta",
    "embedding": "magenta",
    "retrieval": "cyan",
    "rerank": "cyan",
    "tool": "yellow",
    "agent": "blue",
    "chain": "green",
}
_BODY = 2_000
_NAME = 200
_DEEPEST = 200


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "trace", metavar="TRACE", help="an id or its beginning, last, last~1 (the one before), last:NAME"
    )
    parser.add_argument("--full", action="store_true", help="with inputs and outputs")
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    with DuckReader(store_path(arguments)) as reader:
        trace = reader.trace(reader.resolve(arguments.trace))
        wanted = arguments.full or arguments.json
        details = reader.bodies(trace.row.trace_id) if wanted else {}
        calls = reader.tool_calls(trace.row.trace_id)
        notices = list(reader.notices)
    out = terminal.Terminal()
    if arguments.json:
        out.json({**_as_json(trace, details), "tool_calls": [_call_as_json(call) for call in calls]})
    else:
        _print(out, trace, details, _marks(trace, calls))
    for notice in notices:
        sys.stderr.write(f"note: {terminal.one_line(notice)}\n")
    return 0


def _as_json(trace: Trace, details: dict[str, SpanBodies]) -> dict[str, Any]:
    spans = []
    for span in trace.spans:
        detail = details[span.span_id]
        spans.append(
            {
                **asdict(span),
                "duration_ms": span.duration_ms,
                "input": _parsed(detail.input),
                "output": _parsed(detail.output),
                "attributes": _parsed(detail.attributes),
                "metadata": _parsed(detail.metadata),
                "documents": [asdict(document) for document in detail.documents],
            }
        )
    return {
        **asdict(trace.row),
        "spans": spans,
        "scores": [asdict(score) for score in trace.scores],
        "flags": [asdict(flag) for flag in trace.flags],
    }


def _call_as_json(call: ToolCall) -> dict[str, Any]:
    return {**asdict(call), "arguments": _parsed(call.arguments), "asked": call.asked, "ran": call.ran}


def _marks(trace: Trace, calls: list[ToolCall]) -> dict[str, str]:
    """Span id -> what is odd about the tool calls it asked for, or about its running.

    A trace in which no model asks for tools has none that is odd: its own code runs them. One that still runs may
    run yet what was asked for.
    """
    if trace.row.state == "running" or not any(call.asked for call in calls):
        return {}
    left: dict[str, list[str]] = {}
    for call in calls:
        if call.asked_by is not None and not call.ran:
            left.setdefault(call.asked_by, []).append(call.name)
    marks = {span: f"asked for {', '.join(names)}, which did not run" for span, names in left.items()}
    return marks | {
        call.ran_as: "not asked for" for call in calls if call.ran_as is not None and not call.asked
    }


def _parsed(text: str | None) -> Any:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if _is_shallow(value) else text


def _is_shallow(value: Any) -> bool:
    """Whether a value is nested less than _DEEPEST levels: deeper ones cannot be printed by Python's json."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return True
    return False


def _inside(item: Any) -> Iterable[Any]:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list) else ()


def _print(
    out: terminal.Terminal, trace: Trace, details: dict[str, SpanBodies], marks: dict[str, str]
) -> None:
    row = trace.row
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.start_ns / 1e9))
    out.line(f"{out.paint(terminal.one_line(row.name, _NAME), 'bold')}  {row.trace_id}  {started}")
    facts = [
        row.state if row.state != "ended" else row.status,
        how_long(row),
        terminal.plural(row.span_count, "span"),
        terminal.plural(row.llm_calls, "LLM call"),
    ]
    if row.input_tokens is not None:
        facts.append(f"{terminal.count(row.input_tokens)} tokens in, {terminal.count(row.output_tokens)} out")
    if row.cost_usd is not None:
        facts.append(terminal.money(row.cost_usd))
    facts += [f"session {row.session_id}"] if row.session_id else []
    facts += [f"user {row.user_id}"] if row.user_id else []
    out.line(out.paint(terminal.one_line("  ".join(facts)), "dim"))
    labels = [(prefix, span) for prefix, span in _tree(trace.spans)]
    width = min(
        max((terminal.display_width(prefix + _label(span)) for prefix, span in labels), default=0), 60
    )
    for prefix, span in labels:
        _print_span(out, prefix, span, width, marks.get(span.span_id))
        detail = details.get(span.span_id)
        if detail is not None:
            _print_bodies(out, " " * terminal.display_width(prefix), detail)
    for score in trace.scores:
        value = score.label if score.value is None else score.value
        out.line(terminal.one_line(f"score {score.name}: {value}  {score.comment or ''}").rstrip())


def _label(span: SpanRow) -> str:
    return f"{span.kind} {terminal.one_line(span.name, 48)}"


def _print_span(out: terminal.Terminal, prefix: str, span: SpanRow, width: int, mark: str | None) -> None:
    label = _label(span)
    padding = " " * max(width - terminal.display_width(prefix + label), 0)
    kind, _, name = label.partition(" ")
    cells = [terminal.duration(span.duration_ms) if span.end_ns is not None else span.state]
    if span.end_ns is not None and span.state not in ("ended", "running"):
        cells.append(span.state)
    if span.input_tokens is not None or span.output_tokens is not None:
        cells.append(f"{terminal.count(span.input_tokens)} > {terminal.count(span.output_tokens)} tok")
    if span.cost_usd is not None:
        cells.append(terminal.money(span.cost_usd))
    elif span.cost_source == "unpriced":
        used = span.input_tokens is not None or span.search_units is not None
        cells.append("no price" if used else "no usage")
    if span.attempts is not None and span.attempts > 1:
        cells.append(f"{span.attempts} attempts")
    if span.document_count:
        cells.append(terminal.plural(span.document_count, "document"))
    line = f"{out.paint(prefix, 'dim')}{out.paint(kind, _COLOURS.get(kind, 'dim'))} {name}{padding}  {'  '.join(cells)}"
    if span.status == "error":
        error = terminal.one_line(
            f"{span.error_type or 'error'}: {span.error_message or ''}".rstrip(": "), 100
        )
        line += "  " + out.paint(f"! {error}", "dim" if span.duplicate_of else "red")
    if mark is not None:
        line += "  " + out.paint(terminal.one_line(mark, 100), "yellow")
    if span.duplicate_of:
        line += "  retried" if span.status == "error" else "  counted once"
    out.line(line)


def _print_bodies(out: terminal.Terminal, indent: str, detail: SpanBodies) -> None:
    for name, body in (("in", detail.input), ("out", detail.output)):
        if body is not None:
            out.line(f"{indent}  {out.paint(name, 'dim')}: {terminal.one_line(body, _BODY)}")


def _tree(spans: list[SpanRow]) -> Iterator[tuple[str, SpanRow]]:
    """Yield (branch marks, span) from the roots down, each level by start; a loop of parents is cut, not followed."""
    known = {span.span_id for span in spans}
    children: dict[str, list[SpanRow]] = {}
    roots = []
    for span in sorted(spans, key=lambda one: (one.start_ns, one.seq)):
        if span.parent_id in known and span.parent_id != span.span_id:
            children.setdefault(str(span.parent_id), []).append(span)
        else:
            roots.append(span)
    seen: set[str] = set()
    for root in roots:
        yield from _branch(root, "", "", children, seen)
    for span in spans:  # parents in a circle hang from no root
        if span.span_id not in seen:
            yield from _branch(span, "", "", children, seen)


def _branch(
    top: SpanRow, mark: str, below: str, children: dict[str, list[SpanRow]], seen: set[str]
) -> Iterator[tuple[str, SpanRow]]:
    """Walk without recursion: a trace may be thousands of levels deep."""
    stack = [(top, mark, below)]
    while stack:
        span, prefix, indent = stack.pop()
        if span.span_id in seen:
            continue
        seen.add(span.span_id)
        yield prefix, span
        inner = children.get(span.span_id, [])
        for at in range(len(inner) - 1, -1, -1):
            last = at == len(inner) - 1
            stack.append((inner[at], indent + ("└ " if last else "├ "), indent + ("  " if last else "│ ")))


COMMAND = Command(
    summary="show one trace as a tree",
    description="Show one trace: kind, name, duration, tokens, cost and error of every span.",
    configure=_configure,
    run=_run,
    examples=("spanreel show last", "spanreel show last:answer --full", "spanreel show 4bf92f --json"),
)
