"""Every statement is a named file: no name without a file, no file without a use, no SQL elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from spanreel_exporters.duckdb import results, rows
from spanreel_exporters.duckdb.connection import attach, connect
from spanreel_exporters.duckdb.queries import migrations
from spanreel_exporters.duckdb.schema import VERSION, create_in_memory, prepare_reader

PACKAGE = Path(rows.__file__).parent
SOURCE = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "queries.py")
# erasure picks one of these by the kind of its selector
BY_KIND = {"ops_doom_trace", "ops_doom_session", "ops_doom_user"}


def names(folder: str) -> set[str]:
    return {path.stem for path in (PACKAGE / folder).glob("*.sql")}


def test_every_query_is_used_and_every_name_exists() -> None:
    used = set(re.findall(r'\bsql\("(\w+)"\)', SOURCE)) | BY_KIND
    used |= set(re.findall(r'"(\w+)"', SOURCE)) & names("queries")
    assert used == names("queries")


def test_every_schema_file_is_used_and_every_name_exists() -> None:
    used = set(re.findall(r'\bschema_sql\("(\w+)"', SOURCE)) | {name for _, name in migrations()}
    used |= set(re.findall(r'"(live_\w+)"', SOURCE)) & names("schema")
    assert used == names("schema")


def test_migrations_lead_to_the_version() -> None:
    assert [number for number, _ in migrations()] == list(range(1, VERSION + 1))


def test_columns_are_the_same_in_python_and_sql(tmp_path: Path) -> None:
    con = connect(tmp_path, threads=1, memory="100MB")
    create_in_memory(con)
    prepare_reader(con)

    def columns(relation: str) -> list[str]:
        return [row[0] for row in con.execute(f"DESCRIBE {relation}").fetchall()]

    assert columns("store.span_row") == list(rows.SPAN_COLUMNS)
    hidden = {"attributes", "metadata", "dialect", "procid"}
    assert [c for c in columns("span_live") if c not in hidden] == list(results.SpanRow.__slots__)
    keys = ["first_seq", "last_seq", "root_seq"]
    listed = [c if c != "duration_ns" else "duration_ms" for c in columns("store.trace_row") if c not in keys]
    assert [*listed, "input_preview", "output_preview", "flag_count"] == list(results.TraceRow.__slots__)
    con.close()


def test_the_public_views_are_those_of_the_contract(tmp_path: Path) -> None:
    con = connect(tmp_path, threads=1, memory="100MB")
    create_in_memory(con)
    prepare_reader(con)
    found = {
        view: {row[0]: row[1] for row in con.execute(f"DESCRIBE {view}").fetchall()}
        for view in ("spans", "traces", "documents", "flags", "scores", "losses")
    }
    assert list(found["spans"]) == [
        "trace_id",
        "span_id",
        "parent_id",
        "name",
        "kind",
        "state",
        "status",
        "started_at",
        "ended_at",
        "start_ns",
        "duration_ms",
        "service",
        "environment",
        "release",
        "session_id",
        "user_id",
        "provider",
        "request_model",
        "response_model",
        "finish_reason",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "cost_usd",
        "cost_source",
        "ttft_ms",
        "output_tokens_per_s",
        "attempts",
        "tool_name",
        "prompt_name",
        "prompt_version",
        "input",
        "output",
        "error_type",
        "error_message",
        "attributes",
        "metadata",
        "dialect",
        "duplicate_of",
        "foreign_parent",
        "tags",
        "cache_write_1h_tokens",
        "audio_input_tokens",
        "audio_output_tokens",
        "audio_cache_read_tokens",
        "image_input_tokens",
        "image_output_tokens",
        "search_units",
        "web_searches",
        "service_tier",
        "usage_mark",
        "first_visible_ms",
        "inter_token_p95_ms",
        "retry_wait_ms",
    ]
    assert list(found["traces"]) == [
        "trace_id",
        "name",
        "started_at",
        "duration_ms",
        "span_count",
        "error_count",
        "state",
        "status",
        "llm_calls",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "unpriced_calls",
        "flag_count",
        "session_id",
        "user_id",
        "service",
        "environment",
        "release",
        "input",
        "output",
    ]
    assert list(found["documents"]) == ["trace_id", "span_id", "rank", "id", "score", "content", "metadata"]
    assert list(found["flags"]) == [
        "flag_id",
        "trace_id",
        "span_id",
        "detector",
        "detector_version",
        "verdict",
        "severity",
        "score",
        "char_start",
        "char_end",
        "text",
        "reason",
        "evidence_span_id",
        "evidence_start",
        "evidence_end",
        "human_verdict",
    ]
    assert list(found["scores"]) == [
        "score_id",
        "trace_id",
        "span_id",
        "name",
        "value",
        "label",
        "comment",
        "source",
        "author",
        "created_at",
    ]
    assert list(found["losses"]) == ["reason", "count", "first_at", "last_at", "pid", "service"]
    types = found["spans"]
    assert {types[name] for name in ("started_at", "ended_at")} == {"TIMESTAMP WITH TIME ZONE"}
    assert {types[name] for name in ("attributes", "metadata")} == {"JSON"}
    assert (types["start_ns"], types["cost_usd"], types["tags"]) == ("BIGINT", "DOUBLE", "VARCHAR[]")
    con.close()


def test_a_path_with_quotes_and_spaces_can_be_attached(tmp_path: Path) -> None:
    folder = tmp_path / "it's a store"
    folder.mkdir()
    con = connect(folder, threads=1, memory="100MB")
    attach(con, folder, read_only=False)
    con.execute("CREATE TABLE store.t AS SELECT 1")
    con.close()
    assert (folder / "traces.duckdb").exists()
