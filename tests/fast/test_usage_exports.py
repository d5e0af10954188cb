"""Exports of OpenAI and Anthropic: every known shape is read, what is none is named."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel_exporters.billing.reconciling import reconcile
from spanreel_exporters.billing.usage_exports import Exported, ExportError, read
from spanreel_exporters.duckdb.bill_results import DayUsage

OPENAI = {
    "object": "page",
    "data": [
        {
            "object": "bucket", "start_time": 1_795_219_200, "end_time": 1_795_305_600,
            "results": [
                {
                    "object": "organization.usage.completions.result", "input_tokens": 5_000, "output_tokens": 1_000,
                    "input_cached_tokens": 4_000, "input_audio_tokens": 300, "output_audio_tokens": 200,
                    "num_model_requests": 5, "project_id": "proj_abc", "model": "gpt-4o-mini-2024-07-18", "batch": False,
                },
                {"object": "organization.usage.completions.result", "input_tokens": 10, "output_tokens": 1, "model": "gpt-4o-mini-2024-07-18"},
            ],
        }
    ],
    "has_more": False,
}  # fmt: skip
"""developers.openai.com/api/docs/api-reference/usage."""
OPENAI_COSTS = {
    "object": "page",
    "data": [
        {
            "object": "bucket", "start_time": 1_795_219_200,
            "results": [
                {"object": "organization.costs.result", "amount": {"value": 0.06, "currency": "usd"}, "line_item": "gpt-4o-mini-2024-07-18, input"},
                {"object": "organization.costs.result", "amount": {"value": 0.04, "currency": "usd"}, "line_item": "gpt-4o-mini-2024-07-18, output"},
            ],
        }
    ],
}  # fmt: skip
ANTHROPIC = {
    "data": [
        {
            "starting_at": "2026-11-21T00:00:00Z", "ending_at": "2026-11-22T00:00:00Z",
            "results": [
                {
                    "uncached_input_tokens": 1_500, "cache_creation": {"ephemeral_1h_input_tokens": 1_000, "ephemeral_5m_input_tokens": 500},
                    "cache_read_input_tokens": 200, "output_tokens": 500, "server_tool_use": {"web_search_requests": 10},
                    "model": "claude-opus-4-6", "service_tier": "standard", "context_window": "0-200k", "workspace_id": None,
                }
            ],
        }
    ],
    "has_more": False, "next_page": None,
}  # fmt: skip
"""platform.claude.com/docs/en/api/admin-api/usage-cost/get-messages-usage-report."""
ANTHROPIC_COSTS = {
    "data": [
        {
            "starting_at": "2026-11-21T00:00:00Z",
            "results": [{"amount": "123.45", "currency": "USD", "cost_type": "tokens", "token_type": "output_tokens", "model": "claude-opus-4-6"}],
        }
    ]
}  # fmt: skip


def write(folder: Path, text: object, name: str = "export") -> Path:
    path = folder / name
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def test_openai_usage_api(tmp_path: Path) -> None:
    (line,) = read(write(tmp_path, OPENAI))
    assert (line.day, line.model) == ("2026-11-21", "gpt-4o-mini-2024-07-18")
    assert line.counts == {
        "input_inclusive": 5_010, "output": 1_001, "cache_read": 4_000, "audio_input": 300, "audio_output": 200, "calls": 5
    }  # fmt: skip


def test_openai_costs_api(tmp_path: Path) -> None:
    (line,) = read(write(tmp_path, OPENAI_COSTS))
    assert (line.model, line.cost_usd, line.counts) == ("gpt-4o-mini-2024-07-18", Decimal("0.10"), {})


def test_anthropic_usage_api(tmp_path: Path) -> None:
    (line,) = read(write(tmp_path, ANTHROPIC))
    assert (line.day, line.model) == ("2026-11-21", "claude-opus-4-6")
    assert line.counts == {
        "input": 1_500, "cache_read": 200, "cache_write": 500, "cache_write_1h": 1_000, "output": 500, "web_searches": 10
    }  # fmt: skip


def test_anthropic_cost_api_tells_cents(tmp_path: Path) -> None:
    (line,) = read(write(tmp_path, ANTHROPIC_COSTS))
    assert line.cost_usd == Decimal("1.2345")


def test_pages_in_a_list_or_one_a_line(tmp_path: Path) -> None:
    both = read(write(tmp_path, [OPENAI, ANTHROPIC]))
    assert both == read(write(tmp_path, json.dumps(OPENAI) + "\n" + json.dumps(ANTHROPIC) + "\n", "lines"))
    assert [line.model for line in both] == ["claude-opus-4-6", "gpt-4o-mini-2024-07-18"]


CONSOLE = (
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
    "usage_output_tokens,web_search_count\n"
    "2026-11-21,claude-opus-4-6,key,Default,standard,<= 200k,1500,500,1000,200,500,10\n"
)
SPREADSHEET = (
    "\ufeffUsage Date UTC;Model;Uncached input tokens;Cache creation 5m input tokens;Cache creation 1h input tokens;"
    "Cache read input tokens;Output tokens;Web search requests\r\n"
    "2026-11-21;claude-opus-4-6;1,500;500;1000;200;500;10\r\n"
)


@pytest.mark.parametrize("text", [CONSOLE, SPREADSHEET])
def test_console_csv_of_anthropic(tmp_path: Path, text: str) -> None:
    (line,) = read(write(tmp_path, text))
    assert line == read(write(tmp_path, ANTHROPIC, "api"))[0]


def test_console_csv_of_openai_older_and_newer(tmp_path: Path) -> None:
    older = "timestamp,model,n_requests,n_context_tokens_total,n_generated_tokens_total\n1795219260,gpt-4o,3,100,20\n"
    newer = "start_time,end_time,start_time_iso,num_model_requests,model,input_tokens,output_tokens\n1795219200,1795305600,2026-11-21T00:00:00+00:00,3,gpt-4o,100,20\n"
    assert read(write(tmp_path, older)) == read(write(tmp_path, newer, "newer"))
    (line,) = read(
        write(tmp_path, "date,model,cost_usd\n2026-11-21,gpt-4o,$1.50\n2026-11-21,gpt-4o,0.25\n", "cost")
    )
    assert (line.cost_usd, line.day) == (Decimal("1.75"), "2026-11-21")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column of a usage export"),
        ("name,colour\nx,red\n", "no column of a usage export is known: name, colour"),
        ('{"data": [', "is no JSON"),
        ("[1]", "entry 1 is no object"),
        ("model,input_tokens\ngpt-4o,5\n", "line 2: no day"),
        ("date,model,input_tokens\nsoon,gpt-4o,5\n", "line 2: date 'soon' is no time"),
        ("date,model,input_tokens\n2026-11-21,gpt-4o,many\n", "line 2: input_tokens 'many' is no number"),
        ("date,model,cost,currency\n2026-11-21,gpt-4o,5,eur\n", "a cost in EUR"),
        ("date,model,colour\n2026-11-21,gpt-4o,red\n", "holds no usage"),
    ],
)
def test_what_is_no_export_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ExportError) as error:
        read(path)
    assert str(error.value).startswith(str(path))
    assert words in str(error.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be read"):
        read(tmp_path / "nowhere")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExportError, match="is no text"):
        read(tmp_path / "bytes")


@given(st.one_of(st.text(max_size=200), st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)), lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["data", "results", "model", "start_time", "input_tokens", "amount"]), inner, max_size=3)), max_leaves=8).map(json.dumps)))  # fmt: skip
def test_it_reads_or_refuses_and_nothing_else(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "export"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(ExportError):
        read(path)


def used(model: str, **counts: Any) -> DayUsage:
    names = set(DayUsage.__slots__) - {"day", "provider", "model", "cost_usd"}
    fields: dict[str, Any] = dict.fromkeys(names, 0)
    return DayUsage(
        **{"day": "2026-11-21", "provider": "p", "model": model, "cost_usd": None, **fields, **counts}
    )


def test_sides_that_agree_are_the_same_whatever_holds_the_cache() -> None:
    """OpenAI's input holds what was cached, Anthropic's does not."""
    ours = used(
        "claude-opus-4-6",
        input=1_500,
        cache_read=200,
        cache_write=500,
        cache_write_1h=1_000,
        output=500,
        web_searches=10,
    )
    exclusive = Exported(
        "2026-11-21", "claude-opus-4-6",
        {"input": 1_500, "cache_read": 200, "cache_write": 500, "cache_write_1h": 1_000, "output": 500, "web_searches": 10},
    )  # fmt: skip
    inclusive = Exported(
        "2026-11-21", "claude-opus-4-6", {"input_inclusive": 3_200, "cache_read": 200, "output": 500}
    )
    for exported in (exclusive, inclusive):
        (line,) = reconcile([exported], [ours])
        assert (line.state, line.differing) == ("same", ())


def test_audio_is_part_of_the_input_only_where_the_export_has_no_column_for_it() -> None:
    ours = used("gpt-4o-audio", input=100, audio_input=30, output=10, audio_output=40)
    apart = Exported(
        "2026-11-21",
        "gpt-4o-audio",
        {"input_inclusive": 100, "audio_input": 30, "output": 10, "audio_output": 40},
    )
    within = Exported("2026-11-21", "gpt-4o-audio", {"input_inclusive": 130, "output": 50})
    assert [line.state for exported in (apart, within) for line in reconcile([exported], [ours])] == [
        "same",
        "same",
    ]


def test_what_only_one_side_knows() -> None:
    lines = reconcile(
        [Exported("2026-11-21", "gpt-4o", {"input_inclusive": 5})],
        [used("gpt-5", input=7, calls=1), used("gpt-4.1"), DayUsage(**{**_fields(used("gpt-5", input=9)), "day": "2026-11-22"})],
    )  # fmt: skip
    assert [(line.model, line.state) for line in lines] == [
        ("gpt-4o", "only exported"),
        ("gpt-5", "only recorded"),
    ]
    assert [figure.difference for figure in lines[1].figures] == [1, 7, 0]


def _fields(usage: DayUsage) -> dict[str, Any]:
    return {name: getattr(usage, name) for name in DayUsage.__slots__}


def test_versions_with_and_without_a_date_are_one_model_where_that_is_plain() -> None:
    exported = [Exported("2026-11-21", "gpt-4o-2024-08-06", {"input_inclusive": 5})]
    assert reconcile(exported, [used("gpt-4o", input=5)])[0].state == "same"
    two = [used("gpt-4o", input=5), used("gpt-4o-2024-11-20", input=5)]
    assert {line.model: line.state for line in reconcile(exported, two)} == {
        "gpt-4o": "only recorded",
        "gpt-4o-2024-08-06": "only exported",
        "gpt-4o-2024-11-20": "only recorded",
    }


def test_money_is_compared_to_the_cent() -> None:
    exported = [Exported("2026-11-21", "gpt-4o", cost_usd=Decimal("1.23"))]
    assert reconcile(exported, [used("gpt-4o", cost_usd=Decimal("1.2342"))])[0].state == "same"
    assert reconcile(exported, [used("gpt-4o", cost_usd=Decimal("1.25"))])[0].state == "differs"
