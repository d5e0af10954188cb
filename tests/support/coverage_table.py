"""Makes docs/coverage.md of the rows that test runs have left: `python coverage_table.py FOLDER > FILE`.

Standard library only, so that any Python can run it.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

HEAD = """# What is covered, and by which run

Generated from the last test run (`make test` and `make matrix`, then `make coverage`): a system stands here
because a test ran its real library in the version named and passed. `main` is the environment of `make test`,
the others are those of `make matrix`.

| system | package and version | environment | asserted |
|---|---|---|---|
"""


NAMED = {
    "httpx": r"^httpx ", "httpx2": r"^httpx2 ", "requests": r"requests \d", "urllib3": r"urllib3 \d", "aiohttp": r"aiohttp \d",
    "OpenAI chat": r"openai.*chat", "OpenAI responses": r"openai.*responses", "OpenAI embeddings": r"openai.*embeddings",
    "Anthropic messages": r"^anthropic messages", "Gemini": r"^gemini", "Vertex AI": r"vertex", "Mistral": r"mistralai \d",
    "Groq": r"groq \d", "Cohere": r"cohere \d", "Ollama": r"ollama \d", "TGI generate": r"tgi.*generate", "Bedrock": r"boto3 \d",
    "vLLM": r"vllm", "Together": r"together \d", "Fireworks": r"fireworks-ai \d", "DeepSeek": r"deepseek", "xAI": r"xai",
    "OpenRouter": r"openrouter", "Azure OpenAI": r"azure", "LM Studio": r"lm studio", "TGI /v1": r"tgi.*/v1",
    "huggingface_hub": r"huggingface_hub \d", "LiteLLM": r"litellm \d",
    "Chroma": r"chromadb \d", "Qdrant": r"qdrant-client \d", "Weaviate": r"weaviate-client \d", "Pinecone": r"pinecone \d",
    "pgvector": r"pgvector.*psycopg \d", "FAISS": r"faiss", "LanceDB": r"lancedb \d", "rank_bm25": r"rank-bm25 \d",
    "MCP": r"\bmcp \d", "sentence-transformers": r"sentence-transformers \d", "llama-cpp-python": r"llama-cpp-python \d",
    "transformers": r"\| transformers \d|, transformers \d", "LangChain": r"langchain", "LangGraph": r"langgraph",
    "LlamaIndex": r"llama-index", "Haystack": r"haystack-ai \d", "CrewAI": r"crewai \d", "OpenAI Agents SDK": r"openai-agents \d",
    "pydantic-ai": r"pydantic-ai", "SpanreelMiddleware (ASGI)": r"^spanreelmiddleware \(asgi\).*uvicorn",
    "SpanreelMiddleware (WSGI)": r"^spanreelmiddleware \(wsgi\)", "Celery": r"celery \d", "RQ": r"\brq \d", "spanreel run": r"^spanreel run",
}  # fmt: skip
"""The libraries, providers and servers that spanreel names as its own, and what their line on the page matches."""


def without_a_line(page: str) -> list[str]:
    """The named systems that a page has no line for."""
    lines = [line.removeprefix("| ") for line in page.splitlines()[HEAD.count("\n") :]]
    return [
        name
        for name, told in NAMED.items()
        if not any(re.search(told, line, re.IGNORECASE) for line in lines)
    ]


def read(folder: Path) -> list[dict[str, str]]:
    """The rows of all runs below `folder`."""
    found = []
    for path in sorted(folder.rglob("*.jsonl")):
        found += [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return found


def table(rows: Iterable[dict[str, str]]) -> str:
    """The page: one line for each system, sorted, whatever order the rows come in."""
    systems: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        systems[row["system"]].append(row)
    return HEAD + "".join(_line(name, systems[name]) for name in sorted(systems, key=_words))


def systems(page: str) -> list[str]:
    """The systems that a page has a line for, as they stand."""
    return [line.split(" | ")[0].removeprefix("| ") for line in page.splitlines()[HEAD.count("\n") :]]


def _line(name: str, rows: list[dict[str, str]]) -> str:
    versions: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        versions[row["package"]].add(row["version"])
    packages = [f"{package} {_span(found)}" for package, found in sorted(versions.items())]
    environments = sorted({row["environment"] for row in rows}, key=lambda name: (name != "main", name))
    asserted = sorted({row["asserted"] for row in rows}, key=_words)
    cells = (name, ", ".join(packages), ", ".join(environments), "; ".join(asserted))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _span(versions: set[str]) -> str:
    ordered = sorted(versions, key=_numbers)
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"


def _numbers(version: str) -> tuple[list[int], str]:
    return [int(number) for number in re.findall(r"\d+", version)], version


def _words(text: str) -> tuple[str, str]:
    return text.casefold(), text


if __name__ == "__main__":
    found = table(read(Path(sys.argv[1])))
    sys.stdout.write(found)
    if missing := without_a_line(found):
        print(f"no test has run: {', '.join(missing)}", file=sys.stderr)
