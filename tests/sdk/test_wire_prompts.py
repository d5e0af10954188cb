"""`spanreel.prompt` marks the calls whose request holds the rendered text, and only those."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai import OpenAI
from openai_server import OpenAIServer
from recording import Recording

import spanreel

pytestmark = pytest.mark.sdk


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    running = OpenAIServer()
    yield running
    running.close()


def test_the_calls_that_use_a_prompt_are_marked(recording: Recording, server: OpenAIServer) -> None:
    client = OpenAI(base_url=server.url, api_key="none")

    @spanreel.trace(name="run")
    def run() -> None:
        system = spanreel.prompt("greeting", 'Be kind to "{who}" – always.', who="Zoë")
        for text in (system, "something else"):
            client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": text}])

    run()
    client.close()
    marked, unmarked = [span for span in recording.spans() if span.kind == "llm"]
    assert marked.attributes["gen_ai.prompt.name"] == "greeting"
    assert marked.attributes["spanreel.prompt.variables"] == {"who": "Zoë"}
    assert len(marked.attributes["gen_ai.prompt.version"]) == 12
    assert "gen_ai.prompt.name" not in unmarked.attributes
