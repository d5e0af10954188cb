"""Which provider answers at a host: the one table for every OpenAI-compatible API.

Names are `gen_ai.provider.name` values of the OpenTelemetry GenAI conventions where they exist there.
An unknown host is called after the family whose protocol it speaks ("openai" for every compatible server), and
prices of open-weight gateways are looked up by model name.
"""

from __future__ import annotations

import re
from functools import lru_cache

DEFAULT = "openai"

HOSTS: tuple[tuple[str, str], ...] = (
    ("api.openai.com", "openai"),
    ("openai.azure.com", "azure.ai.openai"),
    ("cognitiveservices.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("inference.ai.azure.com", "azure.ai.inference"),
    ("api.groq.com", "groq"),
    ("api.together.xyz", "together"),
    ("api.together.ai", "together"),
    ("api.fireworks.ai", "fireworks"),
    ("api.deepseek.com", "deepseek"),
    ("api.x.ai", "x_ai"),
    ("openrouter.ai", "openrouter"),
    ("api.mistral.ai", "mistral_ai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.moonshot.ai", "moonshot_ai"),
    ("api.moonshot.cn", "moonshot_ai"),
    ("api.cerebras.ai", "cerebras"),
    ("api.sambanova.ai", "sambanova"),
    ("api.deepinfra.com", "deepinfra"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("integrate.api.nvidia.com", "nvidia"),
    ("router.huggingface.co", "hugging_face"),
    ("api-inference.huggingface.co", "hugging_face"),
    ("endpoints.huggingface.cloud", "hugging_face"),
    ("api.jina.ai", "jina_ai"),
    ("api.voyageai.com", "voyageai"),
    ("api.z.ai", "zai"),
    ("api.novita.ai", "novita"),
    ("api.studio.nebius.com", "nebius"),
    ("api.hyperbolic.xyz", "hyperbolic"),
    ("inference.baseten.co", "baseten"),
    ("dashscope.aliyuncs.com", "alibaba_cloud"),
    ("dashscope-intl.aliyuncs.com", "alibaba_cloud"),
    ("api.cohere.ai", "cohere"),
    ("api.cohere.com", "cohere"),
    ("ollama.com", "ollama"),
)
"""(host or domain suffix, provider), tried in order."""

LOCAL_PORTS: dict[int, str] = {11434: "ollama", 1234: "lm_studio"}
"""Servers that are known by the port they listen on by default; vLLM's 8000 is everybody's."""

FAMILIES: dict[str, str] = {
    "anthropic": "anthropic",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "ollama": "ollama",
    "cohere": "cohere",
    "mistral": "mistral_ai",
    "tgi": "tgi",
    "tei": "tei",
    "hugging_face": "hugging_face",
}
"""What stands before the dot in a protocol's name -> who answers at a host that is in no table."""

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "host.docker.internal")  # noqa: S104 - compared, not bound


@lru_cache(maxsize=256)
def provider(host: str, port: int | None = None, protocol: str = "") -> str:
    """Return the provider behind `host` (lower case, without port) and `port`, asked in a `protocol` by its name."""
    known = by_host(host)
    if known is not None:
        return known
    default = FAMILIES.get(protocol.partition(".")[0], DEFAULT)
    return LOCAL_PORTS.get(port or 0, default) if host.lower().strip("[]") in LOCAL_HOSTS else default


@lru_cache(maxsize=256)
def by_host(host: str) -> str | None:
    """Return the provider that a host name belongs to; None for one's own machines and for hosts in no table."""
    host = host.lower().strip("[]").removesuffix(".")
    if "aiplatform" in host and host.endswith(".googleapis.com"):  # us-east5-aiplatform.googleapis.com
        return "gcp.vertex_ai"
    if _BEDROCK.search(host):
        return "aws.bedrock"
    return next((name for suffix, name in HOSTS if host == suffix or host.endswith("." + suffix)), None)


_BEDROCK = re.compile(
    r"(?:^|\.)bedrock-(?:runtime|mantle)(?:-fips)?\.[a-z0-9-]+\.(?:(?:vpce\.)?amazonaws\.com(?:\.cn)?|api\.aws)$"
)
"""Public, FIPS, China's, dual-stack and private (VPC) endpoints; docs.aws.amazon.com, "Bedrock endpoints and quotas"."""


def known(host: str, port: int | None) -> bool:
    """Tell whether a host or a port of one's own machine says by itself that a model answers there."""
    return by_host(host) is not None or (port in LOCAL_PORTS and host.lower().strip("[]") in LOCAL_HOSTS)
