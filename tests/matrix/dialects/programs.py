"""Small applications, each instrumented by one package: `python programs.py NAME`.

They call the model server at MODEL_URL (Claude at CLAUDE_URL) and export over OTLP to OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

MODEL = "gpt-4o-mini"
SAID: list[Any] = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "Hello"}]
DOCUMENTS = [
    {"id": "d1", "page_content": "Refunds within 30 days.", "metadata": {"source": "kb.md"}},
    {"id": "d2", "page_content": "Shipping takes 3 days.", "metadata": {"source": "kb.md"}},
]


def provider() -> Any:
    """A provider of OpenTelemetry's SDK that exports over OTLP."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    made = TracerProvider()
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(made)
    return made


def client() -> Any:
    """OpenAI's client for the loopback server."""
    import openai

    return openai.OpenAI(base_url=os.environ["MODEL_URL"], api_key="sk-test", max_retries=0)


def chats(openai_client: Any) -> None:
    """A plain chat, a streamed one, and one that is refused."""
    openai_client.chat.completions.create(model=MODEL, messages=SAID, temperature=0.25)
    for _ in openai_client.chat.completions.create(
        model=MODEL, messages=SAID, stream=True, stream_options={"include_usage": True}
    ):
        pass
    with contextlib.suppress(Exception):
        openai_client.chat.completions.create(model="always-limited", messages=SAID)


def pydantic_ai(version: str) -> None:
    """An agent that calls a tool, by one version of the instrumentation's settings."""
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    made = provider()
    settings: Any = {"tracer_provider": made, "version": int(version)}
    Agent.instrument_all(InstrumentationSettings(**settings))
    model = OpenAIChatModel(
        MODEL, provider=OpenAIProvider(base_url=os.environ["MODEL_URL"], api_key="sk-test")
    )
    agent: Any = Agent(model, name="finder", instructions="You are terse.")

    def lookup(key: str) -> str:
        return f"value of {key}"

    agent.tool_plain(lookup)
    agent.run_sync("Hello")
    made.shutdown()


def logfire() -> None:
    """Logfire's instrumentation of OpenAI's client."""
    import logfire as library
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    processor = BatchSpanProcessor(OTLPSpanExporter())
    library.configure(send_to_logfire=False, console=False, additional_span_processors=[processor])
    library.instrument_openai()
    with library.span("handle ticket"):
        chats(client())
    library.shutdown()


def langfuse() -> None:
    """Langfuse's decorators and its wrapper of OpenAI's client."""
    from langfuse import Langfuse, observe, propagate_attributes

    made = provider()
    told = Langfuse(
        public_key="pk-test", secret_key="sk-test", host=os.environ["MODEL_URL"], tracer_provider=made
    )
    from langfuse.openai import openai

    asked = openai.OpenAI(base_url=os.environ["MODEL_URL"], api_key="sk-test", max_retries=0)

    @observe(as_type="tool")
    def lookup(key: str) -> dict[str, str]:
        return {"value": key}

    @observe(as_type="retriever")
    def search(query: str) -> list[dict[str, Any]]:
        return DOCUMENTS

    @observe(as_type="agent")
    def handle(question: str) -> None:
        search(question)
        lookup("alpha")
        chats(asked)

    with propagate_attributes(
        user_id="user-4711", session_id="sess-42", tags=["prod"], metadata={"tier": "gold"}
    ):
        handle("refund window?")
    told.flush()
    made.shutdown()


def langsmith() -> None:
    """LangSmith's decorators and its wrapper of OpenAI's client, exported by OpenTelemetry only."""
    os.environ.update(LANGSMITH_OTEL_ENABLED="true", LANGSMITH_OTEL_ONLY="true", LANGSMITH_TRACING="true")
    os.environ.update(LANGSMITH_API_KEY="ls-test", LANGSMITH_ENDPOINT=os.environ["MODEL_URL"])
    made = provider()
    from langsmith import traceable
    from langsmith.run_trees import get_cached_client
    from langsmith.wrappers import wrap_openai

    asked = wrap_openai(client())

    @traceable(run_type="tool")
    def lookup(key: str) -> dict[str, str]:
        return {"value": key}

    @traceable(run_type="retriever")
    def search(query: str) -> list[dict[str, Any]]:
        return DOCUMENTS

    @traceable(run_type="chain", metadata={"session_id": "sess-42", "user_id": "user-4711"}, tags=["prod"])
    def handle(question: str) -> None:
        search(question)
        lookup("alpha")
        chats(asked)

    handle("refund window?")
    get_cached_client().flush()
    made.shutdown()


def mlflow() -> None:
    """MLflow's decorators and its instrumentation of OpenAI's client, exported by OpenTelemetry only."""
    import mlflow as library
    from mlflow.entities import Document, SpanType

    library.openai.autolog()
    asked = client()

    @library.trace(span_type=SpanType.TOOL)
    def lookup(key: str) -> dict[str, str]:
        return {"value": key}

    @library.trace(span_type=SpanType.RETRIEVER)
    def search(query: str) -> list[Any]:
        return [
            Document(page_content=d["page_content"], metadata=d["metadata"], id=d["id"]) for d in DOCUMENTS
        ]

    @library.trace(span_type=SpanType.AGENT)
    def handle(question: str) -> None:
        search(question)
        lookup("alpha")
        chats(asked)

    handle("refund window?")
    from mlflow.tracing.provider import provider as held

    held.get().force_flush()


def openllmetry() -> None:
    """OpenLLMetry's instrumentation of OpenAI's client."""
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    made = provider()
    OpenAIInstrumentor().instrument(tracer_provider=made)
    chats(client())
    made.shutdown()


def anthropic() -> None:
    """What the Anthropic SDK tells by itself as soon as there is a provider."""
    made = provider()
    import anthropic as library

    asked = library.Anthropic(base_url=os.environ["CLAUDE_URL"], api_key="sk-test", max_retries=0)
    said: list[Any] = [{"role": "user", "content": "Hello"}]
    asked.messages.create(model="claude-sonnet-4-5", max_tokens=64, messages=said)
    made.shutdown()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
