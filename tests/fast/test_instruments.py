"""What the hooks of libraries share: the span of a query, its documents, and the program left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording import Recording

import spanreel
from spanreel.documents import MOST
from spanreel.guard import guard
from spanreel.instruments.patching import Patches, named, parameters
from spanreel.instruments.retrieval import Found, Query, dimensions, document, observe, observe_async, split


class Store:
    """A vector store as small as can be."""

    def search(self, query: str, limit: int = 3) -> list[str]:
        if query == "bad":
            raise ValueError("no such thing")
        return [f"{query} {number}" for number in range(limit)]


@pytest.fixture
def store() -> Iterator[type[Store]]:
    patches = Patches()
    names = parameters(Store.search)

    def hook(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        given = named(names, args, kwargs)
        return observe(
            "store",
            lambda: wrapped(*args, **kwargs),
            lambda: Query(source="docs", text=given["query"], top_k=given.get("limit")),
            lambda result: [document(place, text) for place, text in enumerate(result)],
        )

    patches.wrap(Store, "search", hook)
    yield Store
    patches.undo()


def test_a_query_is_a_span_below_the_current_one(recording: Recording, store: type[Store]) -> None:
    with spanreel.span("root") as root:
        assert store().search("what", limit=2) == ["what 0", "what 1"]
    span = recording.one("retrieval docs")
    assert (span.kind, span.status, span.parent) == ("retrieval", "ok", root.span_id)
    assert span.input == {"query": "what", "top_k": 2}
    assert span.attributes["spanreel.documents"] == [
        {"id": "0", "score": None, "content": "what 0", "metadata": None},
        {"id": "1", "score": None, "content": "what 1", "metadata": None},
    ]


def test_nothing_is_recorded_outside_of_a_trace_or_after_undo(
    recording: Recording, store: type[Store]
) -> None:
    store().search("what")
    assert recording.spans() == []
    spanreel.instrument("nothing of that name")
    store().search("what")
    assert [span.name for span in recording.spans()] == ["retrieval docs"]


def test_undo_restores_the_function_and_silences_a_wrapper_below(recording: Recording) -> None:
    plain = Store.search
    patches = Patches()
    patches.wrap(Store, "search", lambda wrapped, _self, args, kwargs: wrapped(*args, **kwargs) + ["ours"])
    patches.wrap(Store, "no such name", lambda *_all: None)
    ours = vars(Store)["search"]
    with spanreel.span("root"):
        assert Store().search("a", 0) == ["ours"]
        Store.search = lambda self, *args: ours.__get__(self, Store)(*args)  # type: ignore[method-assign]
        patches.undo()
        assert Store().search("a", 0) == []
    Store.search = plain  # type: ignore[method-assign]


def test_an_error_passes_and_is_told(recording: Recording, store: type[Store]) -> None:
    with spanreel.span("root"), pytest.raises(ValueError, match="no such thing"):
        store().search("bad")
    span = recording.one("retrieval docs")
    assert (span.status, (span.error or {})["type"]) == ("error", "ValueError")


def test_our_own_failures_cost_only_details(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "strict", False)

    def broken(*_arguments: object) -> Any:
        raise RuntimeError("the library has changed")

    with spanreel.span("root"):
        assert observe("store", lambda: 7, broken, broken) == 7
    span = recording.one("retrieval store")
    assert (span.status, span.ends) == ("ok", 1)
    assert recording.losses() == {"internal:instruments.ask": 1, "internal:instruments.read": 1}


def test_a_store_inside_of_itself_is_one_span(recording: Recording) -> None:
    def query(name: str) -> Any:
        return lambda: Query(source=name)

    def inner() -> int:
        observe("other", lambda: 1, query("other"), lambda _r: None)
        return int(observe("store", lambda: 1, query("inner"), lambda _r: None))

    with spanreel.span("root"):
        observe("store", inner, query("outer"), lambda _result: None)
    spans = {span.name: span for span in recording.spans()}
    assert set(spans) == {"root", "retrieval outer", "retrieval other"}
    assert spans["retrieval other"].parent == spans["retrieval outer"].span


def test_async_queries_stay_apart(recording: Recording) -> None:
    async def one(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def go() -> list[int]:
        with spanreel.span("root"):
            return await asyncio.gather(
                *[
                    observe_async(
                        "store", lambda n=n: one(n), lambda n=n: Query(top_k=n), lambda r: [document(r, None)]  # type: ignore[misc]
                    )
                    for n in range(20)
                ]
            )  # fmt: skip

    assert asyncio.run(go()) == list(range(20))
    found = [span for span in recording.spans() if span.kind == "retrieval"]
    assert len(found) == 20
    assert all(
        span.attributes["spanreel.documents"][0]["id"] == str(span.attributes["gen_ai.retrieval.top_k"])
        for span in found
    )


def test_a_cancelled_query_is_abandoned(recording: Recording) -> None:
    async def go() -> None:
        with spanreel.span("root"):
            query = observe_async("store", lambda: asyncio.sleep(60), lambda: Query(), lambda _r: None)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(query, 0.01)

    asyncio.run(go())
    assert recording.one("retrieval store").attributes["spanreel.state"] == "abandoned"


@pytest.mark.parametrize("capture", ["metadata", "none"])
def test_without_capture_only_counts_stay(recording: Recording, capture: Any) -> None:
    recording.configure(capture=capture)
    secret = Query(
        source="docs",
        text="private words",
        filter={"who": "private person"},
        statement="private SQL",
        top_k=4,
    )
    with spanreel.span("root"):
        observe(
            "store",
            lambda: None,
            lambda: secret,
            lambda _r: Found([document("1", "private text")], output="private"),
        )
    assert b"private" not in recording.raw()
    assert recording.one("retrieval docs").attributes["spanreel.document_count"] == 1


def test_credentials_are_hidden_and_many_documents_counted(recording: Recording) -> None:
    key = "sk-" + "proj-" + "Ab1" * 16
    many = [document(number, key) for number in range(MOST + 50)]
    with spanreel.span("root"):
        observe("store", lambda: None, lambda: Query(text=key), lambda _result: many)
    assert key.encode() not in recording.raw()
    attributes = recording.one("retrieval store").attributes
    assert (len(attributes["spanreel.documents"]), attributes["spanreel.document_count"]) == (MOST, MOST + 50)
    assert recording.losses()["capture_truncated"] == 1


@pytest.mark.parametrize(
    ("fields", "content", "rest"),
    [
        ({"text": "t", "page": 1}, "t", {"page": 1}),
        ({"page_content": "t", "metadata": {"page": 1}, "tenant": "x"}, "t", {"page": 1, "tenant": "x"}),
        ({"chunk_text": "t", "_id": "9", "vector": [1.0], "none": None}, "t", {}),
        ({"title": "Short one", "review": "a much longer piece of prose", "stars": 5}, "a much longer piece of prose",
         {"title": "Short one", "stars": 5}),
        ({"code": "x1", "stars": 5}, None, {"code": "x1", "stars": 5}),
        (None, None, {}), ("text", None, {}),
    ],
)  # fmt: skip
def test_the_text_of_a_record(fields: Any, content: str | None, rest: dict[str, Any]) -> None:
    assert split(fields, used=("_id",)) == (content, rest)


@pytest.mark.parametrize(
    ("vector", "size"),
    [([1.0, 2.0], 2), ([[1.0, 2.0, 3.0]], 3), ((1, 2), 2), ([], None), (None, None), ("text", None), ({}, None), ([[]], None)],
)  # fmt: skip
def test_the_size_of_a_vector(vector: Any, size: int | None) -> None:
    assert dimensions(vector) == size


ANYTHING = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.sampled_from(["text", "metadata", "vector"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(ANYTHING, ANYTHING, ANYTHING)
def test_reading_is_total(fields: Any, key: Any, score: Any) -> None:
    dimensions(fields)
    content, rest = split(fields)
    made = document(key, content, rest, score=score, distance=score)
    assert set(made) == {"id", "score", "content", "metadata"}
