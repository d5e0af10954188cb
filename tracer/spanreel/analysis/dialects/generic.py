"""A span of an instrumentation that nobody knows here: read by what its attributes are called.

Names are compared by their words, whatever the vendor's prefix and spelling: `acme.llm.promptTokens`,
`llm.token.counts` as JSON, `braintrust.metrics`, `lmnr.span.input`, `lk.response.text`. Nothing is read where
there is no sign of a model, a tool or a retrieval: attributes of HTTP, databases and so on are never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from spanreel.analysis.dialects import foreign, vocabulary
from spanreel.analysis.dialects.messages import Message, answers, loose
from spanreel.analysis.dialects.reading import (
    count,
    dump,
    json_text,
    mapping,
    number,
    structure,
    unflatten,
    words,
)
from spanreel.analysis.dialects.usage_shapes import provider_usage
from spanreel.analysis.record import Canonical, RawSpan

NAME: Final = "generic"
_NOT_OURS: Final = re.compile(
    r"(http|url|net|network|server|client|db|rpc|messaging|code|thread|process|otel|telemetry|service|exception|error|"
    r"user_agent|aws|az|azure|gcp|k8s|container|host|os|faas|cloud|peer|graphql|spanreel|log|source|tls|dns|file|"
    r"feature_flag|openinference|traceloop|gen_ai|mastra|langfuse|langsmith|mlflow|logfire|pydantic_ai|haystack|gcp\.vertex)\.|spanreel|ai\.(?:operation|model|usage|response|prompt|settings|telemetry)"
)
_MOST: Final = 400
"""Attributes looked at; a span with more is one of flattened messages."""


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?:(?:^|[._]){pattern}$)" for pattern in patterns))


_KIND: Final = _words(
    r"(?:span|observation|run|node|step|operation|event|entry)[._]?(?:type|kind|name)",
    r"span_attributes[._]type",
    r"type",
    r"kind",
)
_MODEL: Final = (
    _words(r"(?:request|requested|input)[._]model(?:[._](?:name|id))?"),
    _words(r"(?:llm|ai|chat|completion|embedding|embeddings|generation)[._]model(?:[._]?(?:name|id))?"),
    _words(r"model[._]?(?:name|id)", r"model", r"deployment[._]?(?:name|id)"),
)
_ANSWERED_MODEL: Final = (_words(r"(?:response|output|actual|resolved)[._]model(?:[._](?:name|id))?"),)
_PROVIDER: Final = (
    _words(
        r"provider(?:[._]?name)?",
        r"llm[._](?:vendor|system)",
        r"model[._]provider",
        r"vendor",
        r"langtrace[._]service[._]name",
    ),
)
_INPUTS: Final = (
    _words(r"(?:prompt|input)[._]?tokens?(?:[._]?count)?", r"tokens?(?:[._]count)?s?[._](?:prompt|input|in)",
           r"(?:tokens?|usage)[._](?:prompt|input)(?:[._]tokens?)?", r"tokens?[._]?in"),
)  # fmt: skip
_OUTPUTS: Final = (
    _words(r"(?:completion|output|generated|response|candidates)[._]?tokens?(?:[._]?count)?",
           r"tokens?(?:[._]count)?s?[._](?:completion|output|out)", r"(?:tokens?|usage)[._](?:completion|output)(?:[._]tokens?)?",
           r"tokens?[._]?out"),
)  # fmt: skip
_TOTAL: Final = (_words(r"total[._]?tokens?(?:[._]?count)?", r"tokens?(?:[._]count)?s?[._]total"),)
_READ: Final = (
    _words(
        r".*cache[._]?read.*tokens?",
        r".*cached?[._](?:prompt|input|content)?[._]?tokens?(?:[._]?count)?",
        r".*tokens?[._]cached?",
        r".*tokens?[._].*cache[._]?read",
    ),
)
_WRITTEN: Final = (
    _words(r".*cache[._]?(?:write|creation).*tokens?", r".*tokens?[._].*cache[._]?(?:write|creation)"),
)
_THOUGHT: Final = (
    _words(
        r".*(?:reasoning|thinking|thoughts)(?:[._]output)?[._]?tokens?(?:[._]?count)?",
        r".*tokens?[._](?:reasoning|thinking)",
    ),
)
_USAGE: Final = (
    _words(
        r"(?:token[._]?)?usage(?:[._](?:details|metadata))?",
        r"usage[._]?metadata",
        r"tokens?",
        r"token[._]counts?",
        r"metrics",
        r"llm[._]?metrics",
    ),
)
_COST: Final = (
    _words(
        r"cost[._]?(?:in[._])?usd",
        r"total[._]cost(?:[._]usd)?",
        r"costs?[._]total",
        r"usage[._]cost",
        r"llm[._]cost",
        r"cost",
    ),
)
_ASKED: Final = (
    _words(r"input[._]messages", r"(?:llm|chat|request|prompt)[._]messages", r"messages"),
    _words(r"(?:span|entity|llm|node|component|observation)[._]inputs?", r"inputs?(?:[._](?:value|json|data|text|content))?"),
    _words(r"prompts?(?:[._](?:text|content|value))?", r"user[._](?:input|prompt|message|query)", r"request(?:[._](?:body|text|content|prompt))?", r"question", r"chat[._]?ctx"),
)  # fmt: skip
_ANSWERED: Final = (
    _words(r"output[._]messages", r"response[._](?:text|content|messages?|body|output)"),
    _words(r"(?:span|entity|llm|node|component|observation)[._]outputs?", r"outputs?(?:[._](?:value|json|data|text|content))?"),
    _words(r"completions?(?:[._](?:text|content|value))?", r"response", r"responses", r"answer", r"reply", r"generation", r"result"),
)  # fmt: skip
_QUERY: Final = (_words(r"query(?:[._](?:text|string|content))?", r"search[._](?:query|text)"),)
_DOCUMENTS: Final = (
    _words(
        r"(?:retrieved[._]?)?documents", r"docs", r"chunks", r"contexts?", r"results", r"nodes", r"matches"
    ),
)
_TOOL: Final = (_words(r"(?:tool|function|function[._]tool|tool[._]definition)[._]name", r"tool"),)
_TOOL_ARGUMENTS: Final = (
    _words(r"(?:tool|function).*[._](?:arguments|args|input|parameters|params)", r"arguments", r"args"),
)
_TOOL_RESULT: Final = (_words(r"(?:tool|function).*[._](?:result|output|response|return(?:[._]value)?)"),)
_SESSION: Final = (_words(r"(?:session|thread|conversation|chat)[._]?id"),)
_USER: Final = (_words(r"(?:end[._]?)?user[._]?id", r"customer[._]?id"),)
_FINISH: Final = (_words(r"(?:finish|stop)[._]?reasons?"),)
_TTFT: Final = (
    _words(
        r"(?:ttft|time[._]?to[._]?first[._]?(?:token|chunk|byte)|ms[._]?to[._]?first[._]?(?:token|chunk))(?:[._](?:ms|s|seconds|sec))?"
    ),
)
_RESPONSE_ID: Final = (_words(r"(?:response|completion|generation|message)[._]id"),)
_TAGS: Final = (_words(r"tags", r"labels"),)
_FLAT: Final = re.compile(
    r"^(.*(?:prompts?|inputs?|messages?|completions?|outputs?|responses?|choices?))\.\d+\.(?:.*\.)?(?:content|text|role)$"
)
_EXPANDED: Final = re.compile(
    r"(?:^|[._])(?:metrics|metadata|span_attributes|usage|token[._]?usage|token[._]counts?|params?|attributes)$"
)


class Names:
    """A span's attributes by lower-case names, JSON objects among them taken apart."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self.found: dict[str, Any] = {}
        for key, value in list(attributes.items())[:_MOST]:
            plain = (
                re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key[:200])
                .lower()
                .replace("-", "_")
                .replace("/", ".")
                .replace(" ", "_")
            )
            if _NOT_OURS.match(plain):
                continue
            self.found.setdefault(plain, value)
            if _EXPANDED.search(plain):
                for inner, told in list(mapping(value).items())[:_MOST]:
                    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(inner)[:100]).lower()
                    self.found.setdefault(f"{plain}.{name}", told)

    def get(
        self, patterns: tuple[re.Pattern[str], ...], meant: Callable[[Any], Any] = lambda value: value
    ) -> Any:
        """The first value that `meant` makes something of, patterns in their order."""
        for pattern in patterns:
            for name, value in self.found.items():
                if value not in (None, "", [], {}) and pattern.search(name):
                    read = meant(value)
                    if read not in (None, "", [], {}):
                        return read
        return None


_VENDORS: Final = (
    "lmnr.", "lk.", "spring.ai.", "langwatch.", "braintrust.", "agentops.", "voltagent.", "langtrace.", "opik.", "weave.",
    "helicone.", "claude_code.", "gemini_cli.", "codex.", "portkey.", "promptlayer.", "agenta.", "latitude.", "sk.",
)  # fmt: skip


def adds(raw: RawSpan) -> bool:
    """Whether there are names of vendors beside conventions that other dialects read."""
    return any(key.startswith(_VENDORS) for key in raw.attributes)


def matches(raw: RawSpan) -> bool:
    """Whether anything says that a model, a tool or a retrieval is at work."""
    names = Names(raw.attributes)
    return _kind(names, raw.name) != "span"


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read what the names suggest."""
    del lose
    names = Names(raw.attributes)
    return _read(raw, names, _kind(names, raw.name))


def read_as(raw: RawSpan, kind: str) -> Canonical:
    """Read what the names suggest of a span whose kind is known."""
    return _read(raw, Names(raw.attributes), kind)


def _read(raw: RawSpan, names: Names, kind: str) -> Canonical:
    row = foreign.begin(raw, NAME)
    row.kind = kind
    row.session_id = row.session_id or names.get(_SESSION, words)
    row.user_id = row.user_id or names.get(_USER, words)
    row.tags = foreign.tags(names.get(_TAGS))
    if row.kind in vocabulary.BILLED_KINDS:
        _call(row, raw, names)
    if row.kind == "tool":
        row.tool_name = names.get(_TOOL, words)
        row.input = json_text(names.get(_TOOL_ARGUMENTS) or names.get(_ASKED))
        row.output = json_text(names.get(_TOOL_RESULT) or names.get(_ANSWERED))
    elif row.kind == "llm":
        asked, said = _spoken(raw, names)
        row.input, row.output = (dump(asked) if asked else None), (dump(said) if said else None)
        row.finish_reason = row.finish_reason or next(
            (m["finish_reason"] for m in said if m.get("finish_reason")), None
        )
    else:
        row.input, row.output = json_text(_typed(names.get(_ASKED))), json_text(_typed(names.get(_ANSWERED)))
    if row.kind in {"retrieval", "rerank"}:
        row.input = json_text(names.get(_QUERY) or foreign.query_of(names.get(_ASKED)))
        row.documents = names.get((*_DOCUMENTS, *_ANSWERED), foreign.documents_of) or []
    return row


_SIGNS: Final = frozenset(
    {"llm", "embedding", "retrieval", "rerank", "tool", "agent", "chain", "guardrail", "evaluator", "memory"}
)


def _kind(names: Names, called: str) -> str:
    """What the span says it is; else what its attributes are about."""
    told = names.get(
        (_KIND,), lambda value: vocabulary.kind(value) if vocabulary.kind(value) in _SIGNS else None
    )
    model = names.get(_MODEL, words)
    counted = names.get((*_INPUTS, *_OUTPUTS), count) is not None or names.get(
        _USAGE, lambda v: mapping(v) or None
    )
    spoken = names.get((*_ASKED, *_ANSWERED))
    if told is not None and (told not in vocabulary.BILLED_KINDS or model or counted or spoken is not None):
        return str(told)
    if model is not None and (counted or spoken is not None):
        return "embedding" if "embed" in (called + model).lower() else "llm"
    if names.get(_TOOL, words) is not None and names.get((*_TOOL_ARGUMENTS, *_TOOL_RESULT)) is not None:
        return "tool"
    if names.get(_DOCUMENTS, foreign.documents_of) is not None and names.get((*_QUERY, *_ASKED)) is not None:
        return "retrieval"
    return "span"


def _call(row: Canonical, raw: RawSpan, names: Names) -> None:
    row.provider = names.get(_PROVIDER, vocabulary.provider)
    row.request_model = names.get(_MODEL, words)
    row.response_model = names.get(_ANSWERED_MODEL, words)
    row.response_id = names.get(_RESPONSE_ID, words)
    row.finish_reason = vocabulary.finish(names.get(_FINISH, words))
    inputs, outputs = names.get(_INPUTS, count), names.get(_OUTPUTS, count)
    if inputs is None and row.kind == "embedding":
        inputs = names.get(_TOTAL, count)
    if inputs is not None or outputs is not None:
        foreign.usage(
            row, inputs, outputs, cache_read=names.get(_READ, count), cache_write=names.get(_WRITTEN, count),
            reasoning=names.get(_THOUGHT, count), cache_outside=raw.name.startswith("claude_code"),
        )  # fmt: skip
    else:
        provider_usage(row, names.get(_USAGE, lambda value: mapping(value) or None))
    foreign.reported_cost(row, names.get(_COST, number))
    _first_token(row, raw, names)


def _first_token(row: Canonical, raw: RawSpan, names: Names) -> None:
    """Milliseconds where the name says so, or where the number can be no seconds."""
    for name, value in names.found.items():
        told = number(value)
        if told is not None and _TTFT[0].search(name):
            seconds = told / 1e3 if re.search(r"(?:^|[._])ms(?:[._]|$)", name) or told > 100 else told
            foreign.first_token(row, raw, seconds=seconds)
            return


def _spoken(raw: RawSpan, names: Names) -> tuple[list[Message], list[Message]]:
    asked = names.get(_ASKED, lambda value: loose(_typed(value)))
    said = names.get(_ANSWERED, lambda value: loose(_typed(value), "assistant") or answers(_typed(value)))
    if not asked or not said:
        for prefix in _prefixes(raw):
            out = (
                re.search(r"(completion|output|response|choice)s?(?:[._]messages?)?$", prefix.lower())
                is not None
            )
            found = loose(_bare(unflatten(raw.attributes, prefix)), "assistant" if out else "user")
            if out:
                said = said or found
            else:
                asked = asked or found
    return asked or [], said or []


def _prefixes(raw: RawSpan) -> list[str]:
    found = dict.fromkeys(m.group(1) for key in raw.attributes if len(key) < 200 and (m := _FLAT.match(key)))
    return [prefix for prefix in found if not _NOT_OURS.match(prefix.lower())]


def _bare(value: object) -> object:
    """Messages out of one more level of names (`messages.0.message.content`)."""
    if isinstance(value, list):
        return [mapping(mapping(item).get("message")) or item for item in value]
    return value


def _typed(value: object) -> object:
    """LangWatch's `{"type": "chat_messages", "value": [...]}`, LiveKit's `{"items": [...]}`, else the value."""
    found = structure(value)
    if isinstance(found, dict) and set(found) == {"items"}:
        return found["items"]
    if (
        isinstance(found, list)
        and found
        and all(isinstance(item, dict) and "message" in item for item in found)
    ):
        return {"choices": found}
    if isinstance(found, dict) and set(found) <= {"type", "value"} and "value" in found:
        return found["value"]
    return value if found is None else found
