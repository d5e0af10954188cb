"""What a retrieval may return becomes documents: a test for each row of the tables, with the real libraries."""

from __future__ import annotations

from collections import UserList
from dataclasses import dataclass, field
from typing import Any

import haystack
import numpy as np
import pytest
from langchain_core.documents import Document as LangChainDocument
from llama_index.core.schema import Document as LlamaDocument
from llama_index.core.schema import MediaResource, Node, NodeWithScore, TextNode

from spanreel.documents import MOST, adapt


def doc(content: str | None, **fields: Any) -> dict[str, Any]:
    return {"id": None, "score": None, "content": content, "metadata": None, **fields}


@dataclass
class Chunk:
    text: str
    url: str
    vector: list[float] = field(default_factory=list)
    _cached: object = None


class Passage:
    def __init__(self, page_content: str) -> None:
        self.page_content = page_content


class Slotted:
    __slots__ = ("content", "score")

    def __init__(self, content: str, score: float) -> None:
        self.content = content
        self.score = score


CASES = {
    "list of str": (["a", "b"], [doc("a"), doc("b")]),
    "tuple of str": (("a", "b"), [doc("a"), doc("b")]),
    "one joined str": ("all of it", [doc("all of it")]),
    "nothing found": ([], []),
    "dict with content": (
        [{"content": "c", "score": 0.5, "id": "d1", "title": "T", "embedding": [0.1]}],
        [doc("c", score=0.5, id="d1", metadata={"title": "T"})],
    ),
    "dict with text and a distance": (
        [{"text": "t", "distance": 0.2, "doc_id": 7, "metadata": {"page": 1}}],
        [doc("t", id="7", metadata={"page": 1, "distance": 0.2})],
    ),
    "dict with page_content and similarity": (
        [{"page_content": "p", "similarity": np.float32(0.5)}],
        [doc("p", score=0.5)],
    ),
    "LangChain": (
        [LangChainDocument(page_content="x", metadata={"source": "s"}, id="i")],
        [doc("x", id="i", metadata={"source": "s"})],
    ),
    "LangChain with score": (
        [(LangChainDocument(page_content="x"), 0.25), (LangChainDocument(page_content="y"), np.float64(0.5))],
        [doc("x", score=0.25), doc("y", score=0.5)],
    ),
    "LlamaIndex NodeWithScore": (
        [NodeWithScore(node=TextNode(text="hello", id_="n1", metadata={"file": "f"}), score=0.5)],
        [doc("hello", id="n1", score=0.5, metadata={"file": "f"})],
    ),
    "LlamaIndex nodes": (
        [
            TextNode(text="plain", id_="n2"),
            Node(text_resource=MediaResource(text="resource"), id_="n3"),
            LlamaDocument(text="whole", id_="n4"),
        ],
        [doc("plain", id="n2"), doc("resource", id="n3"), doc("whole", id="n4")],
    ),
    "Haystack": (
        [haystack.Document(id="h", content="c", meta={"m": 1}, score=0.25)],
        [doc("c", id="h", score=0.25, metadata={"m": 1})],
    ),
    "Haystack component output": (
        {"documents": [haystack.Document(id="h", content="c")]},
        [doc("c", id="h")],
    ),
    "Chroma query": (
        {
            "ids": [["1", "2"]],
            "documents": [["a", None]],
            "metadatas": [[{"k": 1}, None]],
            "distances": [[0.125, 0.5]],
            "embeddings": None,
        },
        [
            doc("a", id="1", metadata={"k": 1, "distance": 0.125}),
            doc(None, id="2", metadata={"distance": 0.5}),
        ],
    ),
    "Chroma get": ({"ids": ["1"], "documents": ["a"], "metadatas": [None]}, [doc("a", id="1")]),
    "Pinecone": (
        {"matches": [{"id": "1", "score": 0.5, "values": [0.1], "metadata": {"text": "t", "k": "v"}}]},
        [doc("t", id="1", score=0.5, metadata={"k": "v"})],
    ),
    "Elasticsearch": (
        {"hits": {"total": 1, "hits": [{"_id": "1", "_score": 2.0, "_source": {"text": "t", "u": "v"}}]}},
        [doc("t", id="1", score=2.0, metadata={"u": "v"})],
    ),
    "documents and scores side by side": (
        (["a", "b"], [0.5, 0.25]),
        [doc("a", score=0.5), doc("b", score=0.25)],
    ),
    "a dataclass of the program": ([Chunk("t", "u", [0.1])], [doc("t", metadata={"url": "u"})]),
    "an object of the program": ([Passage("p")], [doc("p")]),
    "an object with slots": ([Slotted("s", 0.5)], [doc("s", score=0.5)]),
    "one document": (Passage("p"), [doc("p")]),
}


@pytest.mark.parametrize("name", CASES)
def test_shapes(name: str) -> None:
    value, expected = CASES[name]
    assert adapt(value) == expected


@pytest.mark.parametrize(
    "value",
    [None, 5, 1.5, True, b"bytes", object(), {"a": 1}, [1, 2], [None], ["text", 3], {"ids": 3}, ValueError("x"), int,
     [{"content": 5}], {"documents": "no list"}, UserList(["a"])],
    ids=repr,
)  # fmt: skip
def test_other_values_are_no_documents(value: object) -> None:
    assert adapt(value) is None


def test_bounded() -> None:
    found = adapt([f"text {i}" for i in range(10_000)])
    assert found is not None
    assert len(found) == MOST


def test_nothing_is_consumed() -> None:
    generator = (text for text in ["a", "b"])
    assert adapt(generator) is None
    assert list(generator) == ["a", "b"]


def test_no_property_runs() -> None:
    class Lazy:
        @property
        def content(self) -> str:
            raise AssertionError

        def __getattr__(self, name: str) -> str:
            raise AssertionError

    class Meta(type):
        def __hash__(cls) -> int:
            raise AssertionError

        def __eq__(cls, other: object) -> bool:
            raise AssertionError

    class Odd(metaclass=Meta):
        pass

    assert adapt([Lazy()]) is None
    assert adapt([Odd()]) is None
    assert adapt([("a", Odd())]) is None
    assert adapt(Odd()) is None


def test_cycles_end() -> None:
    loop: dict[str, Any] = {}
    loop["documents"] = [loop]
    assert adapt(loop) is None
