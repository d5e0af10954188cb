"""A span of another instrumentation: what surrounds its attributes, and the reading that every dialect shares.

A foreign span is known by `spanreel.scope` among its attributes (the OpenTelemetry instrumentation scope), which
both the importer and `JournalProcessor` put there. Its span events are `spanreel.events`, a list of
`{"name", "time_ns", "attributes"}`; whatever else OTLP says about it (kind, links, resource, status text, log
records that belong to it) stands in `spanreel.otlp`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from spanreel.analysis.dialects.reading import (
    Attributes,
    count,
    dump,
    first,
    mapping,
    meant,
    number,
    structure,
    text,
    texts,
    words,
)
from spanreel.analysis.pricing import REPORTED
from spanreel.analysis.record import Canonical, Document, RawSpan

SCOPE: Final = "spanreel.scope"
EVENTS: Final = "spanreel.events"
OTLP: Final = "spanreel.otlp"
LOG: Final = "spanreel.log."
"""Attributes whose names begin so are log records of the span: `{"name", "time_ns", "body", "attributes"}`."""
SESSION_KEYS: Final = (
    "session_id",
    "thread_id",
    "conversation_id",
    "sessionId",
    "threadId",
    "conversationId",
    "ls_session_id",
)
_LONGEST_S: Final = 7 * 86_400
"""Longest wait for a first token that is believed."""
USER_KEYS: Final = ("user_id", "userId", "user")


def is_foreign(raw: RawSpan) -> bool:
    """Whether another instrumentation made the span."""
    return SCOPE in raw.attributes


def scope(raw: RawSpan) -> tuple[str, str]:
    """Name and version of the instrumentation scope; empty where it said none."""
    found = raw.attributes.get(SCOPE)
    if not isinstance(found, dict):
        return "", ""
    return str(found.get("name") or ""), str(found.get("version") or "")


def otlp(raw: RawSpan, key: str) -> Any:
    """A field of the OTLP span beside its attributes: kind, links, resource, status_message, ..."""
    found = raw.attributes.get(OTLP)
    return found.get(key) if isinstance(found, dict) else None


def events(raw: RawSpan, name: str | None = None) -> Iterator[tuple[str, int | None, Mapping[str, Any]]]:
    """(name, ns since the epoch, attributes) of the span's events, all or of one name."""
    found = raw.attributes.get(EVENTS)
    for event in found if isinstance(found, list) else ():
        if not isinstance(event, dict):
            continue
        called, at, attributes = event.get("name"), event.get("time_ns"), event.get("attributes")
        if isinstance(called, str) and (name is None or called == name):
            yield (
                called,
                at if isinstance(at, int) else None,
                attributes if isinstance(attributes, dict) else {},
            )


def logs(raw: RawSpan) -> list[tuple[str, Any, Mapping[str, Any]]]:
    """(event name, body, attributes) of the log records that belong to the span, in the order of their times."""
    found: list[tuple[int, int, str, str, Any, Mapping[str, Any]]] = []
    for key, value in raw.attributes.items():
        if key.startswith(LOG) and isinstance(value, dict):
            at, attributes = value.get("time_ns"), value.get("attributes")
            found.append((
                at if isinstance(at, int) else 0, count(value.get("order")) or 0, key, str(value.get("name") or ""),
                value.get("body"), attributes if isinstance(attributes, dict) else {},
            ))  # fmt: skip
    found.sort(key=lambda entry: entry[:3])
    return [(name, body, attributes) for _, _, _, name, body, attributes in found]


def begin(raw: RawSpan, dialect: str) -> Canonical:
    """A canonical record with what any foreign span may carry: name, error, session, user, environment."""
    row = Canonical(kind="span", name=raw.name, dialect=dialect)
    get = raw.attributes
    row.session_id = words(first(get, "session.id", "gen_ai.conversation.id"))
    row.user_id = words(first(get, "user.id", "enduser.id"))
    row.environment = words(first(get, "deployment.environment.name", "deployment.environment"))
    row.prompt_name = text(first(get, "gen_ai.prompt.name"))
    row.prompt_version = text(first(get, "gen_ai.prompt.version"))
    read_error(row, raw)
    return row


def read_error(row: Canonical, raw: RawSpan) -> None:
    """Type and message of what went wrong: attributes, the exception event, the status text."""
    get = raw.attributes
    kind, said = text(get.get("error.type")), text(first(get, "error.message", "exception.message"))
    kind = kind or text(get.get("exception.type"))
    for _, _, details in events(raw, "exception"):
        kind = kind or text(details.get("exception.type"))
        said = said or text(details.get("exception.message"))
    if raw.status == "error":
        said = said or text(otlp(raw, "status_message"))
        kind = kind or _named(said) or raw.error_type
    if raw.status == "error" or kind is not None:
        row.error_type, row.error_message = kind, said or raw.error_message


def _named(said: str | None) -> str | None:
    """The exception's name where a status text begins with it (`ValueError: ...`, `ValueError('...')`)."""
    head = (said or "")[:120].replace("(", ":").partition(":")[0].strip()
    plain = head.replace(".", "").replace("_", "")
    return head if plain.isalnum() and head.endswith(("Error", "Exception", "Timeout", "Interrupt")) else None


def usage(
    row: Canonical,
    inputs: object,
    outputs: object,
    *,
    cache_read: object = None,
    cache_write: object = None,
    reasoning: object = None,
    cache_outside: bool = False,
) -> None:
    """Set the token counts, inclusive: input holds cache reads and writes, output holds reasoning.

    `cache_outside`: the source is known to count cached tokens beside the input. Where it is not known, counts
    that cannot be true otherwise (more cached tokens than input) say so.
    """
    told = count(inputs)
    reads, writes = count(cache_read), count(cache_write)
    cached = (reads or 0) + (writes or 0)
    if told is not None and cached and (cache_outside or cached > told):
        told += cached
    row.input_tokens, row.output_tokens = told, count(outputs)
    row.cache_read_tokens, row.cache_write_tokens = reads, writes
    row.reasoning_tokens = count(reasoning)
    if row.reasoning_tokens and row.output_tokens is not None and row.reasoning_tokens > row.output_tokens:
        row.output_tokens += row.reasoning_tokens


def reported_cost(row: Canonical, value: object) -> None:
    """A cost in USD that the span itself tells."""
    found = number(value)
    if found is not None and found >= 0:
        row.cost_usd, row.cost_source = found, REPORTED


def first_token(row: Canonical, raw: RawSpan, *, at_ns: int | None = None, seconds: object = None) -> None:
    """Time to first token: from a time of day or from seconds."""
    told = number(seconds)
    if told is not None and 0 <= told <= _LONGEST_S:
        row.ttft_ms = told * 1e3
    elif at_ns is not None and 0 <= at_ns - raw.start_ns <= _LONGEST_S * 1_000_000_000:
        row.ttft_ms = (at_ns - raw.start_ns) / 1e6


def first_event(raw: RawSpan, name: str) -> int | None:
    """When the first event of a name happened."""
    return min((at for _, at, _ in events(raw, name) if at is not None), default=None)


def metadata(row: Canonical, value: Mapping[str, Any]) -> None:
    """Metadata of the application, and the session and user that LangChain and others keep there."""
    if not value:
        return
    row.metadata = row.metadata or dump(dict(value))
    row.session_id = row.session_id or words(first(value, *SESSION_KEYS))
    row.user_id = row.user_id or words(first(value, *USER_KEYS))


def tags(value: object) -> list[str] | None:
    """Tags, or None where there are none."""
    return texts(value) or None


def documents(values: object) -> list[Document]:
    """Documents in any spelling: objects with a text under one of its usual names, or texts."""
    found: list[Document] = []
    for value in structure(values) or ():
        item = mapping(value) or {"content": value}
        item = {
            **item,
            **mapping(item.pop("document", None) if isinstance(item.get("document"), dict) else None),
        }
        node = item.get("node")
        if isinstance(node, dict):
            item = {**node, **{key: inner for key, inner in item.items() if key != "node"}}
        kwargs = item.get("kwargs")
        if "lc" in item and isinstance(kwargs, dict):
            item = kwargs
        content = first(
            item,
            "content",
            "page_content",
            "pageContent",
            "text",
            "document.content",
            "value",
            "chunk",
            "snippet",
            "body",
        )
        metadata_of = first(item, "metadata", "meta", "payload", "extra_info", "cmetadata")
        found.append(
            Document(
                rank=len(found),
                id=text(first(item, "id", "id_", "_id", "document_id", "doc_id", "uuid")),
                score=number(
                    first(item, "score", "relevance_score", "relevanceScore", "similarity", "certainty")
                ),
                content=content if content is None or isinstance(content, str) else dump(content),
                metadata=_metadata_text(metadata_of, item),
            )
        )
    return found


_OWN_FIELDS: Final = frozenset({
    "id", "id_", "_id", "document_id", "doc_id", "uuid", "score", "relevance_score", "relevanceScore", "similarity", "certainty",
    "content", "page_content", "pageContent", "text", "value", "chunk", "snippet", "body", "metadata", "meta", "payload",
    "extra_info", "cmetadata", "type", "lc", "embedding", "vector", "document",
})  # fmt: skip


def _metadata_text(told: object, item: Mapping[str, Any]) -> str | None:
    """A document's metadata as JSON text; what else it carries (title, uri, distance) is metadata, too."""
    rest = {
        key: value
        for key, value in item.items()
        if key not in _OWN_FIELDS and value not in (None, "", {}, [])
    }
    value = meant(told)
    if isinstance(value, dict):
        value = {**rest, **value}
    elif value is None:
        value = rest or None
    return None if value is None else dump(value)


def documents_json(found: list[Document]) -> str:
    """The output of a retrieval: its documents as a JSON list."""
    return dump([
        {
            key: value
            for key, value in (
                ("id", doc.id), ("score", doc.score), ("content", doc.content),
                ("metadata", None if doc.metadata is None else meant(doc.metadata)),
            )
            if value is not None
        }
        for doc in found
    ])  # fmt: skip


def documents_of(value: object) -> list[Document]:
    """The documents in what a retrieval returned: a list of them, or an object that holds one; else none."""
    found = structure(value)
    for _ in range(3):
        if not isinstance(found, dict):
            break
        found = next(
            (inner for key in _HOLDERS if isinstance(inner := structure(found.get(key)), (list, dict))), None
        )
    if not isinstance(found, list) or not all(isinstance(structure(item), dict) for item in found):
        return []
    read = documents(found)
    return read if all(one.content is not None or one.id is not None for one in read) else []


_HOLDERS: Final = (
    "documents", "docs", "results", "nodes", "matches", "points", "hits", "chunks", "items", "output", "outputs", "result",
    "return", "data",
)  # fmt: skip


def query_of(value: object) -> object:
    """The query in what a retrieval was called with: a text, an only argument, or a field of its usual names."""
    found = structure(value)
    if isinstance(found, dict):
        arguments, named = found.get("args"), mapping(found.get("kwargs"))
        if (
            isinstance(arguments, list)
            and len(arguments) == 1
            and not named
            and isinstance(arguments[0], str)
        ):
            return arguments[0]
        bundle = structure(first({**found, **named}, *_QUERIES))
        inner = first({**found, **named}, *_QUERIES)
        return first(bundle, *_QUERIES) or value if isinstance(bundle, dict) else inner or value
    return value


_QUERIES: Final = (
    "query", "query_str", "question", "q", "query_text", "search_query", "query_bundle", "str_or_query_bundle", "input", "text",
    "prompt", "search",
)  # fmt: skip


def without(attributes: Attributes, *prefixes: str) -> dict[str, Any]:
    """The attributes that begin with none of the prefixes."""
    return {key: value for key, value in attributes.items() if not key.startswith(prefixes)}
