"""Words of other instrumentations -> the canonical ones: kinds, finish reasons, providers."""

from __future__ import annotations

from typing import Final

KIND_WORDS: Final = {
    "chat": "llm", "generate_content": "llm", "text_completion": "llm", "completion": "llm", "llm": "llm",
    "generation": "llm", "chat_model": "llm", "response": "llm", "fetch_response": "span", "text_generation": "llm",
    "embeddings": "embedding", "embedding": "embedding", "embed": "embedding",
    "retrieval": "retrieval", "retriever": "retrieval", "retrieve": "retrieval", "vector_db_retrieve": "retrieval",
    "rerank": "rerank", "reranker": "rerank",
    "execute_tool": "tool", "tool": "tool", "function": "tool", "tool_call": "tool",
    "invoke_agent": "agent", "create_agent": "agent", "agent": "agent",
    "invoke_workflow": "chain", "workflow": "chain", "task": "chain", "execute_task": "chain", "agent_step": "chain",
    "plan": "chain", "chain": "chain", "prompt": "chain", "parser": "chain", "handoff": "chain", "decision": "chain",
    "guardrail": "guardrail", "guardrails": "guardrail", "evaluator": "evaluator", "evaluation": "evaluator",
    "create_memory_store": "memory", "search_memory": "memory", "create_memory": "memory", "update_memory": "memory",
    "upsert_memory": "memory", "delete_memory": "memory", "delete_memory_store": "memory", "memory": "memory",
    "span": "span", "event": "span", "unknown": "span",
}  # fmt: skip
"""Operation names, span kinds and types of every dialect, lower case -> our kinds."""

BILLED_KINDS: Final = frozenset({"llm", "embedding", "rerank"})
"""Kinds whose usage is their own; on any other it is a total of what is below, or a guess."""

_FINISH: Final = {
    "stop": "stop", "end_turn": "stop", "stop_sequence": "stop", "eos": "stop", "eos_token": "stop",
    "completed": "stop", "complete": "stop", "finish": "stop", "finished": "stop", "done": "stop",
    "length": "length", "max_tokens": "length", "model_length": "length", "max_output_tokens": "length",
    "incomplete": "length", "model_context_window_exceeded": "length",
    "tool_calls": "tool_call", "tool_call": "tool_call", "tool_use": "tool_call", "function_call": "tool_call",
    "malformed_function_call": "error",
    "content_filter": "content_filter", "safety": "content_filter", "recitation": "content_filter",
    "refusal": "content_filter", "blocklist": "content_filter", "prohibited_content": "content_filter",
    "guardrail_intervened": "content_filter", "content_filtered": "content_filter", "error_toxic": "content_filter",
    "error": "error", "failed": "error", "cancelled": "error", "load": "stop",
}  # fmt: skip
"""Finish reasons of every provider, lower case with underscores -> the conventions' words."""

_PROVIDERS: Final = {
    "gemini": "gcp.gemini", "google": "gcp.gemini", "google_genai": "gcp.gemini", "google-genai": "gcp.gemini",
    "google.generative-ai": "gcp.gemini", "google_generativeai": "gcp.gemini", "google_ai_studio": "gcp.gemini",
    "vertexai": "gcp.vertex_ai", "vertex_ai": "gcp.vertex_ai", "google_vertexai": "gcp.vertex_ai",
    "google.vertex": "gcp.vertex_ai", "google_anthropic_vertex": "gcp.vertex_ai", "vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai", "mistralai": "mistral_ai", "xai": "x_ai", "x-ai": "x_ai", "grok": "x_ai",
    "moonshot": "moonshot_ai", "moonshotai": "moonshot_ai", "azure": "azure.ai.openai",
    "az.ai.openai": "azure.ai.openai", "azure_openai": "azure.ai.openai", "azure-openai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference", "azure_ai": "azure.ai.inference", "bedrock": "aws.bedrock",
    "aws": "aws.bedrock", "amazon_bedrock": "aws.bedrock", "amazon-bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock", "watsonx": "ibm.watsonx.ai", "ibm": "ibm.watsonx.ai",
    "together_ai": "together", "togetherai": "together", "fireworks_ai": "fireworks",
    "huggingface": "hugging_face", "langchain_ollama": "ollama", "cohere_chat": "cohere",
}  # fmt: skip
"""Names that others use for a provider -> the conventions' `gen_ai.provider.name`, or the one of providers.py."""

_NO_PROVIDER: Final = frozenset(
    {"langchain", "llamaindex", "llama_index", "unknown", "custom", "none", "gcp.vertex.agent", ""}
)


_MODEL_MAKERS: Final = (
    ("gpt-", "openai"), ("text-embedding-3", "openai"), ("text-embedding-ada", "openai"), ("claude-", "anthropic"),
    ("gemini-", "gcp.gemini"),
)  # fmt: skip
"""Beginnings of the names of models that are called so by their makers alone."""


def maker(model: str | None) -> str | None:
    """Who makes a model that one maker alone calls so; None for any other."""
    low = (model or "").lower()
    return next((provider for head, provider in _MODEL_MAKERS if low.startswith(head)), None)


def kind(word: object) -> str | None:
    """Our kind for the word of another instrumentation (any case); None where it says nothing."""
    return KIND_WORDS.get(word.strip().lower()) if isinstance(word, str) else None


def finish(word: object) -> str | None:
    """The conventions' finish reason; a word that nobody knows stays as it is."""
    if not isinstance(word, str) or not word.strip():
        return None
    plain = word.strip().rsplit(".", 1)[-1].lower().replace("-", "_")  # `FinishReason.STOP`, `tool-calls`
    return _FINISH.get(plain, word.strip())


def provider(word: object) -> str | None:
    """The conventions' name of a provider; `openai.chat` and the like lose what stands behind the dot."""
    if not isinstance(word, str):
        return None
    plain = word.strip()
    low = plain.lower()
    if low in _NO_PROVIDER:
        return None
    if low in _PROVIDERS:
        return _PROVIDERS[low]
    head = low.partition(".")[0]
    if "." in low and head not in {"aws", "azure", "gcp", "ibm"}:
        return _PROVIDERS.get(head, head)
    return low if low.replace("_", "").replace(".", "").isalnum() else plain
