"""For environments of frameworks: a loopback server, each test with `spanreel.instrument()` of its own."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator

for _name, _value in {
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "OPENAI_AGENTS_DISABLE_TRACING": "0",
    "OPENAI_API_KEY": "",
    "LANGSMITH_TRACING": "false",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "CREWAI_DISABLE_TRACKING": "true",
}.items():
    os.environ[_name] = _value

import pytest  # noqa: E402
from openai_server import OpenAIServer  # noqa: E402
from recording import Recording  # noqa: E402

import spanreel  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "ignore::ImportWarning")
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # what frameworks warn about is no news of ours
        item.add_marker(pytest.mark.filterwarnings("ignore"))
        item.add_marker(pytest.mark.matrix)


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    running = OpenAIServer()
    yield running
    running.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # clients that frameworks never close
        gc.collect()


@pytest.fixture
def instrumented(recording: Recording) -> Iterator[Recording]:
    spanreel.instrument()
    yield recording
    spanreel.uninstrument()


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure() -> None:
    warnings.simplefilter("ignore")  # clients that frameworks keep for the life of the process
    gc.collect()
