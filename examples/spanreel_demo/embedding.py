"""Embeddings without a model: words and their letter triples hashed into a vector, so that like texts lie close."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Mapping
from typing import Any

from spanreel_demo.replies import ApiError
from spanreel_demo.retrieval import words
from spanreel_demo.tokens import count

MODEL, DIMENSIONS = "text-embedding-3-small", 1536


def response(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer an embedding request; vectors as numbers or, when asked for, base64 of little-endian floats."""
    if request["model"] != MODEL:
        raise ApiError(
            404, f"The model `{request['model']}` does not exist.", "invalid_request_error", "model_not_found"
        )
    given = request.get("input", "")
    texts = [str(text) for text in given] if isinstance(given, list) else [str(given)]
    vectors = [embed(text, int(request.get("dimensions") or DIMENSIONS)) for text in texts]
    encoded = [
        _base64(vector) if request.get("encoding_format") == "base64" else vector for vector in vectors
    ]
    tokens = sum(count(text) for text in texts)
    return {
        "object": "list",
        "model": MODEL,
        "data": [
            {"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(encoded)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def embed(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """Return a vector of length 1."""
    vector = [0.0] * dimensions
    for word in words(text):
        for feature, weight in [(word, 1.0), *((word[at : at + 3], 0.3) for at in range(len(word) - 2))]:
            digest = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "little")
            vector[digest % dimensions] += weight if digest >> 63 else -weight
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
