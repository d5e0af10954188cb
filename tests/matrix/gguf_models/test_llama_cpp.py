"""llama-cpp-python, the real library, on a GGUF file with random weights.

PyPI has no wheel of it: its environment builds it, which takes some minutes the first time (pip keeps the wheel).
"""

from __future__ import annotations

import json
from typing import Any

import gguf
import llama_cpp
import numpy as np
import pytest
from recording import Recording

import spanreel
from spanreel import instruments

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.covers("llama-cpp-python", package="llama-cpp-python"),
]
SIZE, HEADS = 32, 2


@pytest.fixture(autouse=True)
def hooks() -> None:
    instruments.install(["llama_cpp"])


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A llama of one layer whose tokens are bytes."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + ["▁the", "▁cat"]
    kinds = [2, 3, 3] + [6] * 256 + [1, 1]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(SIZE)
    writer.add_block_count(1)
    writer.add_feed_forward_length(SIZE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(SIZE // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    random = np.random.default_rng(1)

    def matrix(rows: int, columns: int) -> Any:
        return random.normal(0, 0.1, (rows, columns)).astype(np.float32)

    writer.add_tensor("token_embd.weight", matrix(len(tokens), SIZE))
    writer.add_tensor("output_norm.weight", np.ones(SIZE, dtype=np.float32))
    writer.add_tensor("output.weight", matrix(len(tokens), SIZE))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{name}.weight", matrix(SIZE, SIZE))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(SIZE, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return str(path)


@pytest.fixture
def model(file: str) -> Any:
    loaded = llama_cpp.Llama(file, n_ctx=128, verbose=False, seed=1, chat_format="chatml")
    yield loaded
    loaded.close()


def _row(recording: Recording) -> dict[str, Any]:
    rows = spanreel.sql("SELECT * FROM spans WHERE name <> 'root'", store=recording.store)
    assert len(rows) == 1
    return dict(rows[0])


def test_a_chat_is_one_call(recording: Recording, model: Any) -> None:
    """create_chat_completion: one llm span (not one more for its completion), messages, usage of the response."""
    with spanreel.span("root"):
        answer = model.create_chat_completion([{"role": "user", "content": "the cat"}], max_tokens=5)
    row = _row(recording)
    assert (row["kind"], row["provider"], row["request_model"]) == ("llm", "llama_cpp", "tiny.gguf")
    usage = answer["usage"]
    assert (row["input_tokens"], row["output_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert row["finish_reason"] == answer["choices"][0]["finish_reason"]
    assert json.loads(row["output"])[0]["content"] == answer["choices"][0]["message"]["content"]


@pytest.mark.parametrize("chat", [True, False])
def test_a_stream_has_the_usage_of_the_whole(recording: Recording, model: Any, chat: bool) -> None:
    """Streamed: the text put together, time to the first chunk, and the token counts that the plain call has."""

    def call(**options: Any) -> Any:
        if chat:
            return model.create_chat_completion(
                [{"role": "user", "content": "the"}], max_tokens=6, temperature=0, **options
            )
        return model.create_completion("the cat", max_tokens=6, temperature=0, **options)

    usage = call()["usage"]
    with spanreel.span("root"):
        chunks = list(call(stream=True))
    row = _row(recording)
    assert (row["input_tokens"], row["output_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    said = [chunk["choices"][0] for chunk in chunks]
    text = "".join(one["delta"].get("content") or "" if chat else one["text"] for one in said)
    assert json.loads(row["output"])[0]["content"] == text
    assert row["ttft_ms"] is not None
    assert row["finish_reason"] == said[-1]["finish_reason"]


def test_embeddings(recording: Recording, file: str) -> None:
    """create_embedding: an embedding span with the number of texts, dimensions and tokens."""
    model = llama_cpp.Llama(file, n_ctx=128, verbose=False, embedding=True)
    with spanreel.span("root"):
        answer = model.create_embedding(["the cat", "cat"])
    model.close()
    row = _row(recording)
    assert (row["kind"], row["input_tokens"]) == ("embedding", answer["usage"]["prompt_tokens"])
    assert json.loads(row["attributes"])["spanreel.texts"] == 2


def test_an_error_is_the_librarys_own(recording: Recording, model: Any) -> None:
    """A prompt that is too long raises as without us."""
    with spanreel.span("root"), pytest.raises(ValueError, match="context window"):
        model.create_completion("cat " * 500)
    assert _row(recording)["status"] == "error"
