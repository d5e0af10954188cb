"""Runs of real packages, alone and on top of each other, imported from what their exporters wrote.

Each call of the loopback server was answered with 1200 + 40 tokens (chat), 900 + 60 (Responses), 7 (embeddings),
Gemini 1200 + 40, Mistral 120 + 30, Ollama 26 + 282: so many calls were made as the totals say. In the four whose names
tell of streams, refusals or Anthropic beside LangChain: Anthropic 21 + 93, of which one with 2257 cached; 25 tokens and
12 a message + 31 (chat), 1520 + 340 (o4-mini), none (refused; a stream without usage).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import spanreel
from spanreel.config import Settings
from spanreel.redaction import Redactor
from spanreel_exporters.duckdb.ingest import catch_up
from spanreel_exporters.otlp import decode_protobuf
from spanreel_exporters.otlp.importing import import_files
from spanreel_exporters.otlp.model import Decoded
from spanreel_exporters.otlp.records import Recorder
from spanreel_exporters.otlp.writer import Intake, JournalWriter

FOLDER = Path(__file__).parent.parent / "data" / "imports"
FACTS: dict[str, tuple[int, dict[str, int], int, int, int]] = {
    "genai_langchain_and_openai": (7, {"agent": 1, "embedding": 1, "llm": 5}, 0, 6007, 200),
    "genai_openai_over_openinference": (10, {"embedding": 1, "llm": 4}, 5, 3307, 140),
    "logfire_anthropic_streams_beside_sdk": (12, {"chain": 4, "llm": 4}, 4, 2320, 372),
    "openinference_google_genai": (4, {"embedding": 1, "llm": 3}, 0, 3600, 120),
    "openinference_haystack_over_openai": (5, {"chain": 2, "llm": 1, "retrieval": 1}, 1, 1200, 40),
    "openinference_langchain_beside_genai_anthropic": (12, {"llm": 4}, 8, 2320, 372),
    "openinference_langchain_beside_genai_openai": (16, {"agent": 1, "chain": 4, "embedding": 1, "llm": 5}, 5, 6007, 200),
    "openinference_langchain_beside_openai": (16, {"agent": 1, "chain": 4, "embedding": 1, "llm": 5}, 5, 6007, 200),
    "openinference_langchain_refused_beside_openai": (19, {"chain": 3, "llm": 8}, 8, 1754, 526),
    "openinference_llama_index_over_openai": (22, {"chain": 12, "embedding": 2, "llm": 1, "retrieval": 1}, 6, 1214, 40),
    "openinference_llama_index_streams_beside_openai": (20, {"chain": 14, "llm": 2, "tool": 2}, 2, 0, 0),
    "openinference_mistralai": (3, {"llm": 3}, 0, 360, 90),
    "openinference_ollama": (3, {"llm": 3}, 0, 78, 846),
    "openinference_openai_dual": (5, {"embedding": 1, "llm": 4}, 0, 3307, 140),
    "openinference_openai_masked": (5, {"embedding": 1, "llm": 4}, 0, 3307, 140),
    "openlit_openai": (10, {"embedding": 1, "llm": 4, "span": 5}, 0, 3307, 140),
}  # fmt: skip
"""Spans, those that count by kind, duplicates, input tokens, output tokens."""


def rows(store: Path) -> list[dict[str, Any]]:
    return [dict(row) for row in spanreel.sql("SELECT * FROM spans ORDER BY trace_id, span_id", store=store)]


@pytest.mark.parametrize("name", FACTS)
def test_every_call_counts_once(tmp_path: Path, name: str) -> None:
    outcome = import_files(tmp_path / "store", [str(FOLDER / f"{name}.pb")], Settings())
    assert outcome.troubles == []
    found = rows(tmp_path / "store")
    live = [row for row in found if row["duplicate_of"] is None]
    assert (
        len(found), dict(Counter(row["kind"] for row in live)), len(found) - len(live),
        sum(row["input_tokens"] or 0 for row in found), sum(row["output_tokens"] or 0 for row in found),
    ) == FACTS[name]  # fmt: skip
    for row in live:
        if row["kind"] in {"llm", "embedding"}:
            assert row["provider"] is not None
            assert row["request_model"] is not None


@pytest.mark.parametrize("name", [name for name, facts in FACTS.items() if facts[2]])
def test_in_pieces_and_backwards_it_is_the_same(tmp_path: Path, name: str) -> None:
    import_files(tmp_path / "whole", [str(FOLDER / f"{name}.pb")], Settings())
    decoded = decode_protobuf.decode((FOLDER / f"{name}.pb").read_bytes(), lambda _at, _why: None)
    for part in range(3):
        with JournalWriter(tmp_path / "parts", Settings(), service="test") as writer:
            Intake(writer, Recorder(Redactor(), writer.lose)).take(
                Decoded(spans=decoded.spans[::-1][part::3])
            )
        catch_up(tmp_path / "parts")
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")


def test_what_the_client_knows_better(tmp_path: Path) -> None:
    """The framework's span stays; the dated model and cached tokens come from the client's below it."""
    import_files(tmp_path / "store", [str(FOLDER / "openinference_llama_index_over_openai.pb")], Settings())
    (call,) = [
        row for row in rows(tmp_path / "store") if row["kind"] == "llm" and row["duplicate_of"] is None
    ]
    assert (call["name"], call["request_model"]) == ("OpenAI.predict", "gpt-4o")
    assert (call["response_model"], call["cache_read_tokens"], call["reasoning_tokens"]) == (
        "gpt-4o-mini-2024-07-18",
        1024,
        16,
    )
    (search,) = [
        row for row in rows(tmp_path / "store") if row["kind"] == "retrieval" and row["duplicate_of"] is None
    ]
    assert "refund window" in search["input"]
    assert "Refunds within 30 days." in search["output"]
