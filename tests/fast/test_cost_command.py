"""`spanreel cost`, run in this process."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bill_fixture import DAY, START, Program, fill
from journal_fixture import MS, ids

from spanreel import cli
from spanreel.analysis.price_book import book
from spanreel_exporters.duckdb.user_sql import sql

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    monkeypatch.delenv("SPANREEL_PRICES", raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "project" / ".spanreel"
    fill(path)
    return path


@pytest.fixture
def run(store: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str, where: Path = store) -> tuple[int, str, str]:
        code = cli.main(["--store", str(where), "cost", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def parsed(run: Run, *words: str) -> Any:
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_the_table_says_what_is_known_and_what_is_not(run: Run) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["MODEL", "CALLS", "IN", "CACHED", "WRITTEN", "OUT", "REASONING", "COST"]
    assert "some/model" in lines[1]
    house = next(line for line in lines if line.startswith("house-model"))
    assert house.split()[-1] == "?"
    assert "total $0.0268+?  10 calls" in out
    assert "lower bound: 1 call has no price (55 tokens, 0.4% of the tokens)" in out
    assert f"{book()} 6 calls $0.0143" in out
    assert "reported 1 call $0.0125" in out
    assert "waste: 1 call whose answer was not read to its end: 70 tokens in, 7 out, $0.0002" in out
    assert "waste: 1 call waited 250 ms between attempts" in out


def test_json_reconciles_with_sql(run: Run, store: Path) -> None:
    found = parsed(run, "--by", "model", "--by", "day")
    told = next(iter(sql("SELECT sum(cost_usd) AS cost, sum(input_tokens) AS given FROM spans", store=store)))
    assert found["total"]["cost_usd"] == pytest.approx(told["cost"], rel=1e-12)
    assert sum(group["cost_usd"] or 0 for group in found["groups"]) == pytest.approx(
        found["total"]["cost_usd"], rel=1e-12
    )
    assert found["total"]["input_tokens"] == told["given"]
    assert found["by"] == ["model", "day"]
    assert found["lower_bound"] is True
    assert {group["model"]: group["cost_usd"] for group in found["groups"]}["house-model"] is None
    assert (
        sum(found["total"]["buckets"].values())
        == found["total"]["input_tokens"] + found["total"]["output_tokens"]
    )


def test_csv_has_every_row_and_exact_figures(run: Run) -> None:
    code, out, _ = run("--by", "model", "--csv", "-n", "1")
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(out))}
    assert code == 0
    assert rows["o3"]["cost_usd"] == "0.0066"
    assert rows["house-model"]["cost_usd"] == ""
    assert rows["o3"]["reasoning"] == "600"
    assert len(rows) == 6


@pytest.mark.parametrize("by", ["root_name", "prompt_version", "user_id", "Tags", "date"])
def test_other_words_for_dimensions(run: Run, by: str) -> None:
    assert parsed(run, "--by", by)["groups"]


def test_filters_and_limits(run: Run) -> None:
    assert parsed(run, "--since", "2026-11-22", "--until", "2026-11-23")["total"]["cost_usd"] == 0.0066
    assert parsed(run, "--name", "batch", "--model", "gpt-4o")["total"]["calls"] == 3
    assert "5 more; -n 6 shows all" in run("-n", "1")[1]
    assert run("--name", "nobody") == (0, "", "no calls match\n")


def test_as_of_is_labelled_an_estimate(run: Run) -> None:
    code, out, _ = run("--as-of", "2025-05-01", "--by", "model")
    assert code == 0
    assert "estimate $0.0532+?" in out
    assert "an estimate: at the prices of 2025-05-01. As recorded: $0.0268, difference +$0.0264" in out
    found = parsed(run, "--as-of", "2025-05-01T18:00")
    assert (found["estimate"], round(found["billed_cost_usd"], 7)) == (
        ["at the prices of 2025-05-01"],
        0.026805,
    )


def test_a_book_of_ones_own_prices_what_had_no_price(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'updated = 2026-11-01\n[[price]]\nprovider = "vllm"\nmodel = "house-.*"\ninput = 100\noutput = 100\n'
    )
    found = parsed(run, "--book", str(own))
    assert {group["model"]: group["cost_usd"] for group in found["groups"]}["house-model"] == 0.0055
    assert found["lower_bound"] is False
    assert {source["source"] for source in found["sources"]} >= {
        "reported",
        "user:own.toml (2026-11-01)",
        book(),
    }
    assert found["estimate"]


def test_a_swap(run: Run) -> None:
    found = parsed(run, "--swap", "o3=anthropic/claude-sonnet-4-5")
    assert {group["model"]: group["cost_usd"] for group in found["groups"]}["claude-sonnet-4-5"] == 0.012
    assert found["estimate"] == ["o3=anthropic/claude-sonnet-4-5 (the tokens are those of the first)"]


def test_a_swap_that_meets_no_call_says_so(run: Run) -> None:
    code, out, err = run("--swap", "o33=anthropic/claude-sonnet-4-5")
    assert (code, err) == (0, "note: no call of 'o33' was swapped\n")
    assert "difference +$0" in out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--by", "modle"], "no sums by 'modle'; did you mean model?"),
        (["--swap", "gpt-4o"], "a swap names two models"),
        (
            ["--swap", "gpt-4o=gpt-4o-mino"],
            "no list knows the model 'gpt-4o-mino'; did you mean gpt-4o-mini?",
        ),
        (["--since", "yesterday"], "write an age such as 7d"),
        (["--target", "0.1"], "--target goes with --per-query"),
        (["--per-query", "--target", "cheap"], "no amount in US dollars"),
        (["--latency", "--cache"], "one question at a time"),
        (["--latency", "--by", "tag"], "--latency knows no tag"),
    ],
)
def test_what_cannot_be_asked(run: Run, words: list[str], complaint: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert complaint in err


def test_a_broken_book_is_named_with_its_line(run: Run, store: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[[price]]\nmodel = "x"\nouptut = 1\n')
    code, out, err = run("--book", str(own))
    assert (code, out) == (1, "")
    assert f"{own}:3: ouptut (price 1): no key of [price]; did you mean 'output'?" in err
    (store.parent / "prices.toml").write_text('[[price]]\nmodel = "x"\nouptut = 1\n')
    code, out, err = run()
    assert code == 0
    assert "total" in out
    assert "note: " in err
    assert "did you mean 'output'?" in err


def test_per_query_and_its_target(run: Run) -> None:
    code, out, _ = run("--per-query", "--target", "0.002")
    assert code == 1
    assert "mean $0.0089 is above the target $0.0020" in out
    code, out, _ = run("--per-query", "--target", "$0.01")
    assert code == 0
    assert "mean $0.0089 is not above the target $0.0100, but 1 call has no price: it is a lower bound" in out
    assert run("--per-query", "--target", "0.01", "--statistic", "max")[0] == 1
    found = json.loads(run("--per-query", "--target", "0.002", "--json")[1])
    assert (found["above"], found["per_query"]["queries"], len(found["groups"])) == (True, 3, 2)


def test_unpriced_requests_cost_no_nothing(run: Run, tmp_path: Path) -> None:
    store = tmp_path / "unpriced"
    program = Program(store)
    trace, root = program.trace(1, "ask")
    program.call(trace, root, "house", 5, 5, provider="vllm")
    program.end(trace, root)
    code, out, _ = run("--per-query", "--target", "0.002", where=store)
    assert code == 0
    assert "$0 " not in out
    assert "?" in out
    code, out, _ = run(where=store)
    assert "total ?" in out


def test_latency(run: Run) -> None:
    found = {tuple(row[name] for name in ("model", "step")): row for row in parsed(run, "--latency")}
    assert found["gpt-4o", "ask"]["ttft"]["p50"] == 40.0
    assert found["gpt-4o", "ask"]["first_visible"]["p50"] == 60.0
    code, out, _ = run("--latency", "--by", "model")
    assert code == 0
    assert "TTFT P50" in out
    assert run("--latency", "--by", "model", "--csv")[1].startswith("model,calls,streamed,")


def cached(store: Path) -> None:
    """Twice the same question, then another one behind the same long beginning."""
    program = Program(store)
    beginning = "All orders are shipped within two days. " * 150
    for number, (at, question) in enumerate(
        [(0, "Where?"), (60_000, "Where?"), (70_000, "When?"), (4_000_000, "Where?")], 1
    ):
        trace, root = program.trace(number, "ask", START + at * MS)
        asked = [{"role": "user", "parts": [{"type": "text", "content": beginning + question}]}]
        told = {"gen_ai.usage.cache_read.input_tokens": 0}
        program.call(trace, root, "gpt-4o", 2_000, 10, at=START + at * MS, asked=asked, attributes=told)
        program.end(trace, root, START + at * MS + 900 * MS)


def test_cache(run: Run, tmp_path: Path) -> None:
    store = tmp_path / "cached"
    cached(store)
    found = parsed(lambda *words: run(*words, where=store), "--cache")
    assert (found["requests"], found["repeats"], found["repeats_cost_usd"]) == (4, 1, 0.0051)
    assert 1_024 < found["missed_tokens"] < 2_000
    assert found["missed_usd"] == pytest.approx(found["missed_tokens"] * 1.25e-6)
    longer = parsed(lambda *words: run(*words, where=store), "--cache", "--ttl", "2h")
    assert longer["repeats"] == 2
    code, out, _ = run("--cache", where=store)
    assert code == 0
    assert "exact repeats within 1 h 00 min: 1 of 4 requests, $0.0051" in out


def test_an_export_of_the_provider_is_held_against_the_recordings(run: Run, tmp_path: Path) -> None:
    export = tmp_path / "usage.csv"
    export.write_text(
        "start_time_iso,model,num_model_requests,input_tokens,output_tokens,input_cached_tokens\n"
        "2026-11-21T00:00:00+00:00,gpt-4o,1,2000,300,1024\n"
        "2026-11-21T00:00:00+00:00,gpt-4o-mini,2,3000,100,0\n"
    )
    code, out, _ = run("--reconcile", str(export))
    assert code == 1
    assert "1 of 2 lines (model and day) are the same" in out
    differing = [line.split() for line in out.splitlines() if "gpt-4o-mini" in line]
    assert ["2026-11-21", "gpt-4o-mini", "differs", "input", "3000", "1000", "-2000"] in differing
    assert ["2026-11-21", "gpt-4o-mini", "differs", "calls", "2", "1", "-1"] in differing
    found = json.loads(run("--reconcile", str(export), "--json")[1])
    assert [line["state"] for line in found["lines"]] == ["same", "differs"]


def test_losses_that_may_have_taken_calls_are_said(run: Run, tmp_path: Path) -> None:
    store = tmp_path / "lossy"
    program = Program(store)
    for reason, count in (("journal_unwritable", 3), ("capture_truncated", 9)):
        program.writer.line(
            "loss",
            1,
            {"reason": reason, "count": count, "first_ns": 1, "last_ns": 1, "pid": 1, "service": ""},
        )
    _, _, err = run(where=store)
    assert "calls may be missing from these sums: journal_unwritable 3 (spanreel doctor" in err


def test_help_names_every_question(run: Run) -> None:
    code, shown, _ = run("--help")
    assert code == 0
    for word in ("--as-of", "--swap", "--per-query", "--reconcile", "prompt", "environment"):
        assert word in shown


def test_recorded_text_cannot_steer_the_terminal(run: Run, tmp_path: Path) -> None:
    store = tmp_path / "steering"
    program = Program(store)
    trace, root = program.trace(1, "ask \x1b[31mred", START, **{"user.id": "eve\x1b[2J\n"})
    program.call(trace, root, "gpt-4o\x1b]0;x\x07", 5, 5, at=START + DAY)
    program.end(trace, root)
    for words in ((), ("--by", "user"), ("--per-query",), ("--latency",), ("--cache",)):
        _, out, _ = run(*words, where=store)
        assert "\x1b" not in out
        assert "\x07" not in out
    assert ids(1)[0] in run("--by", "trace", where=store)[1]
