"""SDKs that make OpenTelemetry spans of their own, beside a provider of the user's that writes into our store."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import pytest
from anthropic_server import AnthropicServer
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from recording import Recording

import spanreel

pytestmark = [pytest.mark.sdk, pytest.mark.covers("Anthropic SDK native spans", package="anthropic")]


@pytest.fixture(autouse=True)
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    made = TracerProvider()
    made.add_span_processor(spanreel.JournalProcessor())
    monkeypatch.setattr(otel, "_TRACER_PROVIDER", made)
    yield
    made.shutdown()


@pytest.mark.parametrize("stream", [False, True])
def test_the_sdks_own_span_and_ours_are_one_call(recording: Recording, stream: bool) -> None:
    """The SDK's own span, a root in a trace of its own, and the call on the wire count once, plain and streamed."""

    @spanreel.trace
    def ask(client: anthropic.Anthropic) -> str:
        given = {
            "model": "claude-sonnet-5",
            "max_tokens": 10,
            "messages": [{"role": "user", "content": "hi"}],
        }
        if stream:
            with client.messages.stream(**given) as answer:  # type: ignore[arg-type]
                return answer.get_final_text()
        answered = client.messages.create(**given)  # type: ignore[call-overload]
        return str(answered.content[0].text)

    with AnthropicServer() as server, anthropic.Anthropic(base_url=server.url, api_key="k") as client:
        assert ask(client)
    calls = spanreel.sql(
        "SELECT name, duplicate_of, input_tokens, cost_usd FROM spans WHERE kind = 'llm'",
        store=recording.store,
    )
    counted = [call for call in calls if call["duplicate_of"] is None]
    assert len(calls) == 2
    assert [(call["name"], call["input_tokens"]) for call in counted] == [("chat claude-sonnet-5", 2257)]
    traces = spanreel.sql(
        "SELECT name, llm_calls, cost_usd FROM traces ORDER BY name DESC", store=recording.store
    )
    assert sum(trace["llm_calls"] for trace in traces) == 1
