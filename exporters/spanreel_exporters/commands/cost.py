"""`spanreel cost`: what the calls cost, by whatever one asks for, at the prices of their day or at others."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanreel import terminal
from spanreel.command import EXIT_FAILED, Command, UsageError, add_json, nearest, store_path
from spanreel_exporters.commands import cost_output as output
from spanreel_exporters.commands import quantities
from spanreel_exporters.duckdb.bill import ALIASES, DIMENSIONS, Filters

if TYPE_CHECKING:
    from spanreel.analysis.pricing import Prices
    from spanreel_exporters.duckdb.bill import Bill
    from spanreel_exporters.duckdb.reader import DuckReader
    from spanreel_exporters.duckdb.repricing import Estimate, Swap

_FILTERS = (
    ("name", "NAME", "only calls in traces of this name"),
    ("model", "MODEL", "only calls of this model"),
    ("provider", "P", "only calls to this provider"),
    ("session", "S", "only calls of this session"),
    ("user", "U", "only calls of this user"),
    ("tag", "TAG", "only calls with this tag"),
    ("service", "S", "only calls of this service"),
    ("environment", "E", "only calls of this environment"),
)
_HIDING = frozenset({
    "fold_failed", "garbage_attempt", "garbage_record", "journal_unwritable", "normalise_failed", "orphan_record",
    "store_vanished", "torn_record", "unknown_record",
})  # fmt: skip
"""Losses that may have taken a call, or its usage, with them."""
_STATISTICS = ("mean", "p50", "p95", "p99", "max")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by",
        action="append",
        metavar="WHAT",
        help=f"sums by this, also several (--by model,day): {', '.join(DIMENSIONS)} (default: model)",
    )
    parser.add_argument(
        "--since",
        type=quantities.moment,
        metavar="WHEN",
        help="only calls that started since: 7d, 2026-11-01",
    )
    parser.add_argument(
        "--until",
        type=quantities.moment,
        metavar="WHEN",
        help="only calls that started before: 1d, 2026-12-01",
    )
    for name, letter, words in _FILTERS:
        parser.add_argument(f"--{name}", metavar=letter, help=words)
    parser.add_argument(
        "-n", "--limit", type=_count, default=30, metavar="N", help="rows shown (default: 30)"
    )
    _other_prices(parser)
    _reports(parser)
    add_json(parser)
    parser.add_argument("--csv", action="store_true", help="print the sums as CSV")


def _other_prices(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("other prices (the result is an estimate, and says so)")
    group.add_argument(
        "--as-of", type=quantities.moment, metavar="DATE", help="at the prices of this day: 2026-01-01, 30d"
    )
    group.add_argument("--book", type=Path, metavar="FILE", help="with the prices of this prices.toml first")
    group.add_argument(
        "--swap",
        action="append",
        default=[],
        metavar="A=B",
        help="as if model A had been model B, with the tokens that A took: gpt-4o=gpt-4o-mini",
    )


def _reports(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("other questions")
    group.add_argument("--per-query", action="store_true", help="what one request (trace) costs, by its name")
    group.add_argument(
        "--target",
        type=quantities.money,
        metavar="USD",
        help="with --per-query: exit code 1 when it costs more than this",
    )
    group.add_argument(
        "--statistic",
        choices=_STATISTICS,
        default="mean",
        help="what --target is held against (default: mean)",
    )
    group.add_argument(
        "--latency",
        action="store_true",
        help="how fast the calls answered: first token, first visible token, rate, waits, retries",
    )
    group.add_argument(
        "--cache", action="store_true", help="what a cache of one's own and the provider's could have saved"
    )
    group.add_argument(
        "--ttl",
        type=quantities.age,
        default=3600.0,
        metavar="AGE",
        help="with --cache: how long one's own cache keeps an answer (default: 1h)",
    )
    group.add_argument(
        "--reconcile",
        type=Path,
        metavar="FILE",
        help="hold a usage or cost export of OpenAI or Anthropic (CSV, JSON) against the recordings; exit code 1 where they differ",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"how many is a number from 1, not {text!r}")
    return min(int(text), 10**9)


def _dimensions(given: list[str] | None, default: tuple[str, ...]) -> tuple[str, ...]:
    words = [word.strip().lower() for text in given or () for word in text.split(",") if word.strip()]
    names = tuple(ALIASES.get(word, word) for word in words) or default
    for name in names:
        if name not in DIMENSIONS:
            raise UsageError(
                f"no sums by {name!r}{nearest(name, DIMENSIONS)} (known: {', '.join(DIMENSIONS)})"
            )
    return tuple(dict.fromkeys(names))


def _run(arguments: argparse.Namespace) -> int:
    from spanreel_exporters.duckdb import stores
    from spanreel_exporters.duckdb.reader import DuckReader

    asked = [name for name in ("per_query", "latency", "cache", "reconcile") if getattr(arguments, name)]
    if len(asked) > 1:
        raise UsageError(
            f"one question at a time, not {' and '.join('--' + n.replace('_', '-') for n in asked)}"
        )
    if arguments.target is not None and not arguments.per_query:
        raise UsageError("--target goes with --per-query: spanreel cost --per-query --target 0.002")
    by = _dimensions(arguments.by, ("model",))
    exported = _exported(arguments)
    store = store_path(arguments)
    stores.register(store)
    prices, estimate = _estimate(arguments, store)
    filters = Filters(
        since_ns=arguments.since,
        until_ns=arguments.until,
        **{name: getattr(arguments, name) for name, _, _ in _FILTERS},
    )
    with DuckReader(store) as reader:
        with reader.bill(filters, estimate) as bill:
            out = output.Output(terminal.Terminal(), arguments.json, arguments.csv, arguments.limit)
            code = _answer(arguments, bill, _Asked(by, estimate, prices, exported), out)
            unmet = _unmet(bill, estimate)
        notices = [*unmet, *reader.notices, *([prices.trouble] if prices.trouble else []), *_lost(reader)]
    for notice in notices:
        sys.stderr.write(f"note: {terminal.one_line(notice)}\n")
    return code


def _unmet(bill: Bill, estimate: Estimate | None) -> list[str]:
    """Swaps that met no call, in words: the sums are then what they were."""
    if estimate is None or not estimate.swaps:
        return []
    meant = {group.key[0] for group in bill.groups(("model",))}
    return [f"no call of {swap.old!r} was swapped" for swap in estimate.swaps if swap.new not in meant]


def _lost(reader: DuckReader) -> list[str]:
    """What was lost of calls, in words: sums cannot hold it."""
    counts: dict[str, int] = {}
    for loss in reader.losses():
        if loss.reason in _HIDING:
            counts[loss.reason] = counts.get(loss.reason, 0) + loss.count
    told = ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.items()))
    return [f"calls may be missing from these sums: {told} (spanreel doctor says more)"] if told else []


@dataclass(frozen=True, slots=True)
class _Asked:
    by: tuple[str, ...]
    estimate: Estimate | None
    prices: Prices
    exported: Any


def _answer(arguments: argparse.Namespace, bill: Bill, asked: _Asked, out: output.Output) -> int:
    labels = _labels(arguments)
    if asked.exported is not None:
        from spanreel_exporters.billing.reconciling import reconcile

        lines = reconcile(asked.exported, bill.by_day())
        output.print_reconciled(out, lines, str(arguments.reconcile))
        return EXIT_FAILED if any(line.state != "same" for line in lines) else 0
    if arguments.latency:
        by = _without_sums(_dimensions(arguments.by, ("model", "step")))
        output.print_latency(out, by, bill.latency(by))
        return 0
    if arguments.cache:
        from spanreel_exporters.duckdb.caching import report

        output.print_cache(out, report(bill.requests(), arguments.ttl, asked.prices))
        return 0
    if arguments.per_query:
        whole = bill.per_query()
        target = None if arguments.target is None else Decimal(str(arguments.target))
        value = None if whole is None else getattr(whole, arguments.statistic)
        above = target is not None and value is not None and value > target
        output.print_per_query(
            out, whole, bill.per_query_by_name(), labels=labels, target=target, statistic=arguments.statistic
        )
        return EXIT_FAILED if above else 0
    output.print_sums(out, bill, asked.by, labels, asked.estimate)
    return 0


def _without_sums(by: tuple[str, ...]) -> tuple[str, ...]:
    for name in ("tag", "source"):
        if name in by:
            raise UsageError(f"--latency knows no {name}")
    return by


def _labels(arguments: argparse.Namespace) -> list[str]:
    """What makes the figures an estimate, in words."""
    from datetime import UTC, datetime

    labels = []
    if arguments.as_of is not None:
        day = datetime.fromtimestamp(arguments.as_of // 1_000_000_000, tz=UTC).date()
        labels.append(f"at the prices of {day.isoformat()}")
    if arguments.book is not None:
        labels.append(f"with the prices of {arguments.book}")
    labels += [f"{swap} (the tokens are those of the first)" for swap in arguments.swap]
    return labels


def _exported(arguments: argparse.Namespace) -> Any:
    if arguments.reconcile is None:
        return None
    from spanreel_exporters.billing.usage_exports import read

    return read(arguments.reconcile)


def _estimate(arguments: argparse.Namespace, store: Path) -> tuple[Prices, Estimate | None]:
    """The prices that count here, and how to price anew if that is asked for. Raises PriceFileError, UsageError."""
    from spanreel.analysis import pricing
    from spanreel_exporters.duckdb.repricing import Estimate

    anew = arguments.as_of is not None or arguments.book is not None or arguments.swap
    if not anew:
        return pricing.load_or_explain(store), None
    prices = pricing.load(pricing.find(store, arguments.book))
    as_of = None if arguments.as_of is None else arguments.as_of - arguments.as_of % 86_400_000_000_000
    swaps = tuple(_swap(text, prices, as_of) for text in arguments.swap)
    return prices, Estimate(prices, as_of, swaps)


def _swap(text: str, prices: Prices, as_of_ns: int | None) -> Swap:
    import time

    from spanreel.analysis.price_book import model_names, provider_names
    from spanreel_exporters.duckdb.repricing import Swap

    old, sign, new = (part.strip() for part in text.partition("="))
    if not (old and sign and new):
        raise UsageError(f"a swap names two models: --swap gpt-4o=gpt-4o-mini, not {text!r}")
    at_ns = time.time_ns() if as_of_ns is None else as_of_ns
    head, slash, rest = new.partition("/")
    if slash and head.lower() in provider_names() and prices.rates(head.lower(), rest, at_ns, "", None):
        return Swap(old, rest, head.lower())
    if not any(prices.rates(provider, new, at_ns, "", None) for provider in (None, *provider_names())):
        raise UsageError(f"no list knows the model {new!r}{nearest(new, model_names())}")
    named = prices.rates(None, new, at_ns, "", None)
    listed = next((p for p in sorted(provider_names()) if prices.rates(p, new, at_ns, "", None)), None)
    return Swap(old, new, None if named else listed)


COMMAND = Command(
    summary="say what the calls cost, by model, user, tool, day, ...",
    description="Sum what calls cost. Prices: what the provider reported, else your prices.toml, else the bundled book of\n"
    "dated prices, else none; calls without a price are counted, and the sum is then a lower bound.",
    configure=_configure,
    run=_run,
    examples=(
        "spanreel cost --by model,day --since 7d",
        "spanreel cost --by user --as-of 2026-01-01",
        "spanreel cost --swap gpt-4o=gpt-4o-mini",
        "spanreel cost --per-query --target 0.002",
        "spanreel cost --reconcile openai-usage.csv",
    ),
)
