"""What a store's queries left in spanreel's own store, read through its views."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from recording import Recording

import spanreel


@dataclass
class Retrieved:
    """One retrieval span as the views tell it, with its documents as tuples (id, score, content, metadata)."""

    name: str
    kind: str
    status: str
    input: Any
    output: Any
    attributes: dict[str, Any]
    error: str | None
    documents: list[Any]
    parent: str | None
    span: str
    trace: str

    @property
    def ids(self) -> list[str | None]:
        return [document[0] for document in self.documents]

    @property
    def scores(self) -> list[float | None]:
        return [document[1] for document in self.documents]

    @property
    def contents(self) -> list[str | None]:
        return [document[2] for document in self.documents]

    @property
    def distances(self) -> list[float | None]:
        return [document[3].get("distance") for document in self.documents]

    @property
    def query(self) -> Any:
        return self.attributes.get("gen_ai.retrieval.query.text")

    @property
    def top_k(self) -> Any:
        return self.attributes.get("gen_ai.retrieval.top_k")

    @property
    def filter(self) -> Any:
        return self.attributes.get("spanreel.retrieval.filter")

    @property
    def score_kind(self) -> Any:
        return self.attributes.get("spanreel.score_kind")


def retrieved(recording: Recording, kind: str = "retrieval") -> list[Retrieved]:
    """The spans of a kind, in the order they began."""
    rows = spanreel.sql("SELECT * FROM spans WHERE kind = ? ORDER BY start_ns", [kind], store=recording.store)
    found = spanreel.sql("SELECT * FROM documents ORDER BY span_id, rank", store=recording.store)
    return [
        Retrieved(
            row["name"], row["kind"], row["status"], _json(row["input"]), _json(row["output"]),
            _json(row["attributes"]), row["error_message"],
            [
                (item["id"], item["score"], item["content"], _json(item["metadata"]) or {})
                for item in found if item["span_id"] == row["span_id"]
            ],
            row["parent_id"], row["span_id"], row["trace_id"],
        )
        for row in rows
    ]  # fmt: skip


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
