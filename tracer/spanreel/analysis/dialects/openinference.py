"""OpenInference (Arize): `openinference.span.kind`, `llm.*`, `input.value`, `retrieval.documents.N.*` and the like.

Names after openinference-semantic-conventions 0.1.42. `llm.model_name` is the model that answered, once that is
known; the requested one is looked for in the request's own parameters first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from spanreel.analysis.dialects import foreign, vocabulary
from spanreel.analysis.dialects.messages import Message, answers, loose, message, role, text_message
from spanreel.analysis.dialects.parts import Part, call_part, parts, reasoning_part, response_part, text_part
from spanreel.analysis.dialects.reading import (
    Attributes,
    count,
    dump,
    first,
    first_count,
    json_text,
    mapping,
    sequence,
    structure,
    text,
    unflatten,
    words,
)
from spanreel.analysis.dialects.usage_shapes import provider_usage, usage_in
from spanreel.analysis.record import Canonical, Document, RawSpan
from spanreel.protocols.openai_parts import media

NAME: Final = "openinference"
MASKED: Final = "__REDACTED__"
_PREFIXES: Final = (
    "openinference.", "llm.input_messages", "llm.output_messages", "llm.token_count.", "llm.prompts.", "llm.choices.",
    "llm.tools.", "retrieval.documents.", "reranker.", "embedding.", "graph.node.",
)  # fmt: skip
_NAMES: Final = frozenset({
    "input.value", "output.value", "llm.model_name", "llm.invocation_parameters", "llm.provider",
})  # fmt: skip
FIRST_EVENT: Final = "First Token Stream Event"


def matches(raw: RawSpan) -> bool:
    """Any of the names that nobody else writes."""
    return any(key in _NAMES or key.startswith(_PREFIXES) for key in raw.attributes)


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read the span."""
    del lose
    get = raw.attributes
    row = foreign.begin(raw, NAME)
    row.kind = _kind(get)
    asked, answered = mapping(_told(get, "input")), mapping(_told(get, "output"))
    _model(row, raw, asked, answered)
    _usage(row, get)
    if row.kind == "embedding" and row.input_tokens is None and row.output_tokens is None:
        provider_usage(row, usage_in(answered))
    if _prepares(row, raw):
        row.kind = "chain"
    row.finish_reason = vocabulary.finish(get.get("llm.finish_reason"))
    foreign.first_token(row, raw, at_ns=foreign.first_event(raw, FIRST_EVENT))
    _context(row, get, asked)
    _CONTENTS.get(row.kind, _plain)(row, raw, get)
    return row


def _prepares(row: Canonical, raw: RawSpan) -> bool:
    """Whether a span is of a method that frameworks keep to themselves (`OpenAI._prepare_chat_with_tools`).

    LlamaIndex's instrumentation calls every method of a model's class a call, also those that send nothing.
    """
    return (
        row.kind == "llm"
        and "._prepare" in raw.name
        and row.input_tokens is None
        and row.output_tokens is None
        and row.response_id is None
    )


def _kind(get: Attributes) -> str:
    found = vocabulary.kind(get.get("openinference.span.kind"))
    if found is not None and found != "span":
        return found
    for prefix, kind in _SIGNS:
        if any(key.startswith(prefix) for key in get):
            return kind
    return "span"


_SIGNS: Final = (
    ("reranker.", "rerank"), ("retrieval.documents.", "retrieval"), ("embedding.", "embedding"),
    ("llm.token_count.", "llm"), ("llm.output_messages", "llm"), ("llm.input_messages", "llm"), ("llm.model_name", "llm"),
    ("tool.name", "tool"), ("agent.name", "agent"),
)  # fmt: skip


def _told(get: Attributes, side: str) -> Any:
    """`input.value` or `output.value`; nothing where it is masked."""
    value = get.get(f"{side}.value")
    return None if value == MASKED else value


def _model(row: Canonical, raw: RawSpan, asked: Mapping[str, Any], answered: Mapping[str, Any]) -> None:
    get = raw.attributes
    parameters = mapping(first(get, "llm.invocation_parameters", "embedding.invocation_parameters"))
    context = mapping(get.get("metadata"))
    row.provider = vocabulary.provider(
        first(get, "llm.provider", "llm.system", "embedding.provider")
    ) or vocabulary.provider(context.get("ls_provider"))
    if row.kind not in vocabulary.BILLED_KINDS:
        return
    model = words(first(get, "llm.model_name", "embedding.model_name", "reranker.model_name"))
    row.request_model = (
        words(first(get, "llm.request.model_name", "llm.input_model_name"))
        or words(first(parameters, "model", "model_name", "model_id", "modelId"))
        or words(asked.get("model"))
        or words(context.get("ls_model_name"))
        or model
    )
    told = {**_langchain(answered), **answered}
    row.response_model = words(first(get, "llm.response.model_name", "llm.output_model_name"))
    if row.response_model is None:
        row.response_model = words(first(told, "model", "model_version", "modelVersion", "model_name"))
    if row.response_model is None and raw.status != "error":
        row.response_model = model
    row.response_id = words(get.get("llm.response.id")) or words(
        first(told, "id", "response_id", "responseId")
    )
    row.service_tier = words(told.get("service_tier"))
    row.provider = row.provider or _maker(raw.name) or _prefixed(row.request_model)


def _langchain(answered: Mapping[str, Any]) -> dict[str, Any]:
    """What the provider said, out of LangChain's `LLMResult`: `llm_output`, and what its one message holds."""
    row = next(iter(sequence(answered.get("generations"))), None)
    generation = mapping(next(iter(row), None) if isinstance(row, list) else row)
    message = mapping(mapping(generation.get("message")).get("kwargs"))
    return {
        "id": message.get("id"),
        **mapping(generation.get("generation_info")),
        **mapping(message.get("response_metadata")),
        **mapping(answered.get("llm_output")),
    }


_MAKERS: Final = (
    ("azureopenai", "azure.ai.openai"), ("openai", "openai"), ("anthropic", "anthropic"), ("claude", "anthropic"),
    ("mistral", "mistral_ai"), ("googlegenai", "gcp.gemini"), ("gemini", "gcp.gemini"), ("vertex", "gcp.vertex_ai"),
    ("ollama", "ollama"), ("groq", "groq"), ("cohere", "cohere"), ("bedrock", "aws.bedrock"), ("together", "together"),
    ("fireworks", "fireworks"), ("huggingface", "hugging_face"), ("deepseek", "deepseek"), ("xai", "x_ai"),
    ("voyage", "voyage"), ("jina", "jina"), ("nvidia", "nvidia"), ("watsonx", "ibm.watsonx.ai"),
)  # fmt: skip
"""Beginnings of the names of frameworks' classes, which their spans are called after -> the provider."""


def _prefixed(model: str | None) -> str | None:
    """The provider in a router's name of a model (`openai/text-embedding-3-small`), where it is one we know."""
    head, _, rest = (model or "").partition("/")
    found = vocabulary.provider(head) if rest else None
    return found if found in {provider for _, provider in _MAKERS} else None


def _maker(name: str) -> str | None:
    """The provider of a class such as `OpenAIEmbedding` or `ChatMistralAI`; None where the name says nothing."""
    low = name.lower().removeprefix("chat").removeprefix("async")
    return next((provider for head, provider in _MAKERS if low.startswith(head)), None)


def _usage(row: Canonical, get: Attributes) -> None:
    head = "llm.token_count."
    foreign.usage(
        row,
        get.get(head + "prompt"),
        get.get(head + "completion"),
        cache_read=first_count(get, head + "prompt_details.cache_read", head + "prompt_details.cache_input"),
        cache_write=get.get(head + "prompt_details.cache_write"),
        reasoning=get.get(head + "completion_details.reasoning"),
    )
    row.audio_input_tokens = count(get.get(head + "prompt_details.audio"))
    row.audio_output_tokens = count(get.get(head + "completion_details.audio"))
    if row.input_tokens is None and row.output_tokens is None and row.kind == "embedding":
        row.input_tokens = count(get.get(head + "total"))
    cost = get.get("llm.cost.total")
    if cost is None:
        halves = [
            get[key]
            for key in ("llm.cost.prompt", "llm.cost.completion")
            if isinstance(get.get(key), (int, float))
        ]
        cost = sum(halves) if halves else None
    foreign.reported_cost(row, cost)


def _context(row: Canonical, get: Attributes, asked: Mapping[str, Any]) -> None:
    parameters = mapping(get.get("llm.invocation_parameters"))
    row.user_id = (
        row.user_id
        or words(parameters.get("user"))
        or (words(asked.get("user")) if row.kind == "llm" else None)
    )
    row.tags = foreign.tags(first(get, "tag.tags", "tags"))
    foreign.metadata(row, mapping(get.get("metadata")))
    row.prompt_name = row.prompt_name or text(first(get, "prompt.id", "prompt.name"))
    row.prompt_version = row.prompt_version or text(get.get("llm.prompt_template.version"))


# -- content, by kind ---------------------------------------------------------------


def _plain(row: Canonical, raw: RawSpan, get: Attributes) -> None:
    """Input and output of a step, as they were written; messages where there is nothing else."""
    row.input, row.output = json_text(_told(get, "input")), json_text(_told(get, "output"))
    if row.input is None:
        row.input = _dumped(_flattened(get, "llm.input_messages"))
    if row.output is None:
        row.output = _dumped(_flattened(get, "llm.output_messages"))


def _dumped(found: list[Message]) -> str | None:
    return dump(found) if found else None


def _llm(row: Canonical, raw: RawSpan, get: Attributes) -> None:
    asked = _flattened(get, "llm.input_messages") or _texts(get, "llm.prompts", "prompt", "user")
    answered = _flattened(get, "llm.output_messages") or _texts(get, "llm.choices", "completion", "assistant")
    if not asked or foreign.otlp(raw, "dropped_attributes_count"):  # the tail of a long list may be cut off
        spelled = loose(_told(get, "input"))
        asked = spelled if len(spelled) > len(asked) else asked
    if not any(found["parts"] for found in answered):
        answered = _answers(_told(get, "output")) or answered
    row.input, row.output = _dumped(asked), _dumped(answered)
    if row.finish_reason is None:
        spoken = [*answered, *(answers(_told(get, "output")) if structure(_told(get, "output")) else [])]
        row.finish_reason = next(
            (found["finish_reason"] for found in spoken if found.get("finish_reason")), None
        )


def _answers(value: object) -> list[Message]:
    found = structure(value)
    if isinstance(found, dict) and not found.keys() & {
        "role",
        "choices",
        "content",
        "generations",
        "candidates",
        "messages",
    }:
        return loose(found, "assistant") or answers(value)
    return answers(value)


def _flattened(get: Attributes, prefix: str) -> list[Message]:
    """Messages of `prefix.N.message.*`."""
    told = unflatten(get, prefix)
    if told is None:
        told = sequence(get.get(prefix))
    found = []
    for item in told if isinstance(told, list) else [told]:
        spoken = mapping(item)
        spoken = mapping(spoken.get("message")) or spoken
        if spoken:
            found.append(_message(spoken, "assistant" if "output" in prefix else "user"))
    return [one for one in found if one["parts"]] or found[:0]


def _message(spoken: Mapping[str, Any], who: str) -> Message:
    speaker = role(spoken.get("role"), who)
    call_id = spoken.get("tool_call_id")
    content, pieces = spoken.get("content"), _items(spoken.get("contents"))
    if speaker == "tool":
        told = content if content is not None else "\n".join(str(_piece_text(piece)) for piece in pieces)
        return message("tool", [response_part(call_id, told)], name=words(spoken.get("name")))
    found = [part for piece in pieces for part in _piece(mapping(piece))]
    if content is not None and not any(part.get("type") == "text" for part in found):
        found = [*found, *parts(_content(content))] if not isinstance(content, dict) else found
    there = {part.get("id") for part in found if part["type"] == "tool_call"}
    for item in _items(spoken.get("tool_calls")):
        part = _call(mapping(mapping(item).get("tool_call")) or mapping(item))
        if part is not None and (part.get("id") is None or part["id"] not in there):
            found.append(part)
    if spoken.get("function_call_name"):
        found.append(
            call_part(None, spoken["function_call_name"], spoken.get("function_call_arguments_json"))
        )
    return message(
        speaker,
        found,
        name=words(spoken.get("name")),
        finish_reason=vocabulary.finish(spoken.get("finish_reason")),
    )


def _content(content: object) -> object:
    """A content that is a list of typed pieces spelled as text, as a list."""
    if isinstance(content, str) and content[:2] == "[{":
        spelled = structure(content)
        if isinstance(spelled, list) and all(isinstance(item, dict) and "type" in item for item in spelled):
            return spelled
    return content


def _items(value: object) -> list[Any]:
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, dict) else []


def _piece_text(piece: object) -> object:
    inner = mapping(mapping(piece).get("message_content"))
    return first(inner, "text", "content") or ""


def _piece(piece: Mapping[str, Any]) -> list[Part]:
    """One entry of `message.contents`."""
    inner = mapping(piece.get("message_content"))
    call = mapping(piece.get("tool_call")) or mapping(inner.get("tool_call"))
    kind = words(inner.get("type"))
    if call and kind in {None, "tool_use", "tool_call", "function_call"}:
        part = _call(call)
        return [part] if part else []
    if kind in {"tool_result", "tool_call_response"}:
        return [
            response_part(
                first(inner, "tool_call_id", "id", "tool_use_id"), first(inner, "text", "content", "output")
            )
        ]
    if kind in {"reasoning", "thinking"}:
        said = first(inner, "text", "content", "data")
        return [reasoning_part(said)] if said is not None else []
    for modality in ("image", "audio", "video", "document"):
        url = _url(inner.get(modality), modality)
        if url is not None:
            return [media(url, modality)]
    said = first(inner, "text", "content")
    if said is not None:
        return [text_part(said)]
    if kind == "text":
        return []
    return [{**inner, "type": str(kind)}] if kind is not None and len(inner) > 1 else []


def _url(value: object, modality: str) -> str | None:
    """`image.image.url` and its like, however deep it was nested."""
    for _ in range(3):
        if isinstance(value, str):
            return value or None
        if not isinstance(value, dict):
            return None
        value = first(value, "url", modality, "data")
    return None


def _call(call: Mapping[str, Any]) -> Part | None:
    function = mapping(call.get("function")) or call
    name = function.get("name")
    return (
        None
        if name is None
        else call_part(call.get("id"), name, first(function, "arguments", "args", "input") or {})
    )


def _texts(get: Attributes, prefix: str, key: str, who: str) -> list[Message]:
    """`llm.prompts.N.prompt.text` and `llm.choices.N.completion.text`; older packages wrote a list of texts."""
    told = unflatten(get, prefix)
    if told is None:
        told = sequence(get.get(prefix))
    found = []
    for item in told if isinstance(told, list) else [told]:
        said = (
            item
            if isinstance(item, str)
            else first(mapping(mapping(item).get(key)) or mapping(item), "text", "content")
        )
        if said:
            found.append(text_message(who, said))
    return found


def _tool(row: Canonical, raw: RawSpan, get: Attributes) -> None:
    row.tool_name = words(get.get("tool.name"))
    _plain(row, raw, get)
    if row.input is None and not _is_schema(get.get("tool.parameters")):
        row.input = json_text(get.get("tool.parameters"))


def _is_schema(value: object) -> bool:
    """Whether `tool.parameters` describes arguments instead of being them."""
    found = mapping(value)
    return isinstance(found.get("properties"), dict) or isinstance(found.get("$schema"), str)


def _retrieval(row: Canonical, raw: RawSpan, get: Attributes) -> None:
    _plain(row, raw, get)
    told = mapping(_told(get, "input"))
    query = first(told, "query", "query_str", "question", "input", "text")
    if isinstance(query, str):
        row.input = dump(query)
    row.documents = _documents(get, "retrieval.documents")
    spelled = _spelled_documents(_told(get, "output"))
    if not row.documents:
        row.documents = spelled
    elif len(spelled) == len(row.documents):
        for document, other in zip(row.documents, spelled, strict=True):
            document.id = document.id or other.id
            document.score = other.score if document.score is None else document.score
            document.metadata = document.metadata or other.metadata
            document.content = document.content if document.content is not None else other.content


def _spelled_documents(value: object) -> list[Document]:
    """Documents in `output.value`: a list of them, or an object that holds one."""
    found = structure(value)
    if isinstance(found, dict):
        found = next(
            (
                found[key]
                for key in ("documents", "docs", "results", "nodes", "output")
                if isinstance(found.get(key), list)
            ),
            None,
        )
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        return []
    read = foreign.documents(found)
    return read if all(document.content is not None or document.id is not None for document in read) else []


def _documents(get: Attributes, prefix: str) -> list[Document]:
    told = unflatten(get, prefix)
    if told is None:
        told = sequence(get.get(prefix))
    return foreign.documents(_items(told))


def _rerank(row: Canonical, raw: RawSpan, get: Attributes) -> None:
    _plain(row, raw, get)
    query = get.get("reranker.query")
    if query is not None:
        row.input = json_text(query)
    row.documents = _documents(get, "reranker.output_documents")
    if row.documents:
        row.output = foreign.documents_json(row.documents)


def _embedding(row: Canonical, raw: RawSpan, get: Attributes) -> None:
    told = _items(unflatten(get, "embedding.embeddings"))
    said = [first(mapping(mapping(item).get("embedding")) or mapping(item), "text") for item in told]
    said = [item for item in said if item is not None]
    if said:
        row.input = dump(said)
    else:
        given = _told(get, "input")
        inner = mapping(given).get("input")
        row.input = json_text(inner if inner is not None else given)


_CONTENTS: Final[dict[str, Callable[[Canonical, RawSpan, Attributes], None]]] = {
    "llm": _llm, "tool": _tool, "retrieval": _retrieval, "rerank": _rerank, "embedding": _embedding,
}  # fmt: skip
