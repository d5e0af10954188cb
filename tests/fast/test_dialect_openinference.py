"""OpenInference: its flattened messages, documents and counts, and what packages leave out of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from otlp_spans import read

from spanreel.analysis.record import Canonical

LLM = {"openinference.span.kind": "LLM"}


def output(row: Canonical) -> Any:
    return json.loads(row.output or "null")


def asked(row: Canonical) -> Any:
    return json.loads(row.input or "null")


def test_messages_are_ordered_by_number_and_gaps_are_closed() -> None:
    told = {f"llm.input_messages.{n}.message.content": f"m{n}" for n in (10, 9, 2, 0)}
    assert [m["parts"][0]["content"] for m in asked(read({**LLM, **told}))] == ["m0", "m2", "m9", "m10"]


def test_a_tool_call_that_stands_twice_is_one() -> None:
    """Anthropic's content lists repeat what `tool_calls` says, with the same id."""
    head = "llm.output_messages.0.message."
    call = {"tool_call.id": "t1", "tool_call.function.name": "f", "tool_call.function.arguments": '{"a": 1}'}
    told = {
        head + "role": "assistant", head + "contents.0.message_content.type": "text",
        head + "contents.0.message_content.text": "Wait.", head + "contents.1.message_content.type": "tool_use",
        **{f"{head}contents.1.{key}": value for key, value in call.items()},
        **{f"{head}tool_calls.0.{key}": value for key, value in call.items()},
    }  # fmt: skip
    assert output(read({**LLM, **told})) == [
        {"role": "assistant", "parts": [
            {"type": "text", "content": "Wait."}, {"type": "tool_call", "id": "t1", "name": "f", "arguments": {"a": 1}}]},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("told", "want"),
    [
        ({"llm.model_name": "m-2024"}, ("m-2024", "m-2024")),
        ({"llm.model_name": "m-2024", "llm.invocation_parameters": '{"model": "m"}'}, ("m", "m-2024")),
        ({"llm.model_name": "m", "output.value": '{"model": "m-2024"}'}, ("m", "m-2024")),
        ({"llm.request.model_name": "m", "llm.response.model_name": "m-1", "llm.model_name": "x"}, ("m", "m-1")),
        ({"llm.input_model_name": "m", "llm.output_model_name": "m-1"}, ("m", "m-1")),
        ({"input.value": '{"model": "m"}', "llm.model_name": "m-1"}, ("m", "m-1")),
        ({"metadata": '{"ls_model_name": "m"}', "llm.model_name": "m-1"}, ("m", "m-1")),
    ],
)  # fmt: skip
def test_which_model_was_asked_and_which_answered(told: dict[str, Any], want: tuple[str, str]) -> None:
    row = read({**LLM, **told})
    assert (row.request_model, row.response_model) == want


def test_counts_and_cost() -> None:
    head = "llm.token_count."
    row = read({
        **LLM, head + "prompt": 100, head + "completion": 50, head + "prompt_details.cache_read": 30,
        head + "prompt_details.cache_write": 20, head + "completion_details.reasoning": 40, head + "completion_details.audio": 5,
        "llm.cost.prompt": 0.25, "llm.cost.completion": 0.5,
    })  # fmt: skip
    assert (row.input_tokens, row.output_tokens, row.cache_read_tokens, row.cache_write_tokens) == (
        100,
        50,
        30,
        20,
    )
    assert (row.reasoning_tokens, row.audio_output_tokens) == (40, 5)
    assert (row.cost_usd, row.cost_source) == (0.75, "reported")


def test_cached_tokens_that_cannot_be_inside_are_added() -> None:
    head = "llm.token_count."
    row = read(
        {
            **LLM,
            head + "prompt": 21,
            head + "completion": 9,
            head + "prompt_details.cache_read": 2048,
            head + "prompt_details.cache_write": 188,
        }
    )
    assert row.input_tokens == 2257


def test_first_token_is_an_event() -> None:
    row = read(LLM, events=[{"name": "First Token Stream Event", "time_ns": 1_500, "attributes": {}}])
    assert row.ttft_ms == 0.0005


def test_documents_and_what_the_output_knows_of_them() -> None:
    row = read({
        "openinference.span.kind": "RETRIEVER", "input.value": '{"query": "refunds?"}', "input.mime_type": "application/json",
        "retrieval.documents.0.document.content": "a", "retrieval.documents.0.document.score": 0.5,
        "retrieval.documents.1.document.content": "b", "retrieval.documents.1.document.metadata": '{"page": 2}',
        "output.value": '{"documents": [{"id": "d1", "page_content": "a"}, {"id": "d2", "page_content": "b"}]}',
    })  # fmt: skip
    assert (row.kind, row.input) == ("retrieval", '"refunds?"')
    assert [(doc.id, doc.score, doc.content, doc.metadata) for doc in row.documents] == [
        ("d1", 0.5, "a", None), ("d2", None, "b", '{"page":2}'),
    ]  # fmt: skip
    assert output(row)[0] == {"id": "d1", "score": 0.5, "content": "a"}


def test_a_reranker() -> None:
    row = read({
        "openinference.span.kind": "RERANKER", "reranker.query": "q", "reranker.model_name": "r-1",
        "reranker.output_documents.0.document.content": "b", "reranker.output_documents.0.document.score": 0.9,
    })  # fmt: skip
    assert (row.kind, row.input, row.request_model, row.documents[0].score) == ("rerank", '"q"', "r-1", 0.9)


@pytest.mark.parametrize(
    ("parameters", "want"),
    [('{"type": "object", "properties": {"a": {}}}', None), ('{"a": 1}', '{"a":1}')],
)
def test_parameters_of_a_tool_are_a_schema_or_arguments(parameters: str, want: str | None) -> None:
    row = read({"openinference.span.kind": "TOOL", "tool.name": "f", "tool.parameters": parameters})
    assert (row.tool_name, row.input) == ("f", want)


def test_session_and_user_in_langchains_metadata() -> None:
    row = read(
        {
            "openinference.span.kind": "CHAIN",
            "metadata": '{"session_id": "s", "user_id": "u", "x": 1}',
            "tag.tags": ["a"],
        }
    )
    assert (row.session_id, row.user_id, row.tags) == ("s", "u", ["a"])


def test_masked_content_is_none() -> None:
    row = read({**LLM, "input.value": "__REDACTED__", "output.value": "__REDACTED__"})
    assert (row.input, row.output) == (None, None)


def test_an_error_is_the_exception_event() -> None:
    event = {
        "name": "exception",
        "time_ns": 1,
        "attributes": {"exception.type": "openai.RateLimitError", "exception.message": "slow"},
    }
    row = read(LLM, status="error", events=[event])
    assert (row.error_type, row.error_message) == ("openai.RateLimitError", "slow")


def test_both_conventions_on_one_span() -> None:
    """OPENINFERENCE_ENABLE_GENAI_SEMCONV: each fills what the other leaves out."""
    row = read({**LLM, "llm.token_count.prompt": 7, "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 3,
                "gen_ai.conversation.id": "c"})  # fmt: skip
    assert (row.dialect, row.request_model, row.input_tokens, row.output_tokens, row.session_id) == (
        "openinference",
        "m",
        7,
        None,
        "c",
    )


@pytest.mark.parametrize(
    ("name", "want"),
    [("OpenAIEmbedding.get_text_embedding", "openai"), ("ChatMistralAI", "mistral_ai"), ("AzureOpenAIEmbedding", "azure.ai.openai"),
     ("Something", None)],
)  # fmt: skip
def test_a_provider_told_by_a_class(name: str, want: str | None) -> None:
    assert read({"openinference.span.kind": "EMBEDDING"}, name=name).provider == want


def test_a_method_that_only_prepares_a_call_is_none() -> None:
    """LlamaIndex's instrumentation calls every method of a model's class a call."""
    told = {**LLM, "llm.model_name": "gpt-4o", "input.value": "{}", "output.value": "{}"}
    assert read(told, name="OpenAI._prepare_chat_with_tools").kind == "chain"
    assert read({**told, "llm.token_count.prompt": 5}, name="OpenAI._prepare_and_chat").kind == "llm"
    assert read(told, name="OpenAI.chat").kind == "llm"


def test_an_empty_text_beside_tool_calls_is_left_out() -> None:
    head = "llm.output_messages.0.message."
    told = {
        head + "contents.0.message_content.type": "text", head + "contents.0.message_content.text": "",
        head + "tool_calls.0.tool_call.id": "t1", head + "tool_calls.0.tool_call.function.name": "f",
    }  # fmt: skip
    assert [part["type"] for part in output(read({**LLM, **told}))[0]["parts"]] == ["tool_call"]


def test_an_embedding_whose_usage_stands_in_its_output() -> None:
    """Haystack's: no count among the attributes, no provider."""
    told = {
        "openinference.span.kind": "EMBEDDING", "embedding.model_name": "text-embedding-3-small",
        "output.value": '{"embedding": "<3-dimensional vector>", "meta": {"usage": {"prompt_tokens": 6, "total_tokens": 6}}}',
    }  # fmt: skip
    row = read(told)
    assert (row.input_tokens, row.provider) == (6, "openai")


@pytest.mark.parametrize(
    ("model", "want"), [("openai/embed", "openai"), ("acme/embed", None), ("claude-5", "anthropic")]
)
def test_a_provider_told_by_a_models_name(model: str, want: str | None) -> None:
    assert read({**LLM, "llm.model_name": model}).provider == want


@pytest.mark.parametrize("odd", [[1], {"a": 1}, 7, None, True, [["text"]]])
def test_a_piece_of_an_odd_type(odd: object) -> None:
    head = "llm.input_messages.0.message.contents.0.message_content."
    assert read({**LLM, head + "type": odd, head + "text": "Hi"}).kind == "llm"
