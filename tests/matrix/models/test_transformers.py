"""transformers pipelines, the real library, on models with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recording import Recording
from transformers import pipeline

import spanreel
from spanreel import instruments

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.covers("transformers pipelines", package="transformers"),
]


@pytest.fixture(autouse=True)
def hooks() -> None:
    instruments.install(["transformers"])


def _generator(folder: Path) -> Any:
    made = pipeline("text-generation", model=str(folder / "gpt"), device="cpu")
    made.model.generation_config.eos_token_id = None
    made.model.generation_config.pad_token_id = 0
    return made


def _rows(recording: Recording) -> list[dict[str, Any]]:
    rows = spanreel.sql("SELECT * FROM spans WHERE name <> 'root' ORDER BY start_ns", store=recording.store)
    return [dict(row) for row in rows]


def test_text_generation(recording: Recording, folder: Path) -> None:
    """text-generation: an llm span with model, prompt, generated text, options and exact token counts."""
    generate = _generator(folder)
    with spanreel.span("root"):
        found = generate("the cat sat", max_new_tokens=5, min_new_tokens=5, do_sample=False)
    (row,) = _rows(recording)
    assert (row["kind"], row["provider"], row["status"]) == ("llm", "transformers", "ok")
    assert row["request_model"].endswith("gpt")
    assert (row["input_tokens"], row["output_tokens"]) == (3, 5)
    assert json.loads(row["input"]) == [{"role": "user", "content": "the cat sat"}]
    said = json.loads(row["output"])[0]["content"]
    assert "the cat sat" + said == found[0]["generated_text"]
    assert json.loads(row["attributes"])["gen_ai.request.max_tokens"] == 5


def test_several_prompts_at_once(recording: Recording, folder: Path) -> None:
    """A list of prompts in one batch is one span; padding is not counted."""
    generate = _generator(folder)
    generate.tokenizer.padding_side = "left"
    with spanreel.span("root"):
        generate(
            ["the cat", "a dog sat on"], batch_size=2, max_new_tokens=4, min_new_tokens=4, do_sample=False
        )
    (row,) = _rows(recording)
    assert (row["input_tokens"], row["output_tokens"]) == (6, 8)


def test_a_chat(recording: Recording, folder: Path) -> None:
    """A chat is recorded as its messages, the answer as the assistant's."""
    generate = _generator(folder)
    generate.tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    with spanreel.span("root"):
        generate(
            [{"role": "user", "content": "the cat"}], max_new_tokens=2, min_new_tokens=2, do_sample=False
        )
    (row,) = _rows(recording)
    assert [message["role"] for message in json.loads(row["input"])] == ["user"]
    assert [message["role"] for message in json.loads(row["output"])] == ["assistant"]
    assert (row["name"].split()[0], row["input_tokens"], row["output_tokens"]) == ("chat", 2, 2)


def test_feature_extraction(recording: Recording, folder: Path) -> None:
    """feature-extraction: an embedding span with dimensions and tokens, not the numbers."""
    extract = pipeline("feature-extraction", model=str(folder / "bert"), device="cpu")
    with spanreel.span("root"):
        extract(["the cat", "a dog sat"])
    (row,) = _rows(recording)
    assert (row["kind"], row["input_tokens"]) == ("embedding", 9)
    attributes = json.loads(row["attributes"])
    assert (attributes["gen_ai.embeddings.dimension.count"], attributes["spanreel.texts"]) == (16, 2)
    assert json.loads(row["output"]) == [{"type": "embedding", "count": 2, "dimension": 16}]


def test_classification_is_a_plain_span(recording: Recording, folder: Path) -> None:
    """Other tasks are plain spans with input, output and tokens."""
    classify = pipeline("text-classification", model=str(folder / "cross"), device="cpu")
    with spanreel.span("root"):
        found = classify("the cat")
    (row,) = _rows(recording)
    assert (row["kind"], row["name"].split()[0], row["input_tokens"]) == ("span", "text-classification", 4)
    assert json.loads(row["output"])["label"] == found[0]["label"]


def test_a_failing_call(recording: Recording, folder: Path) -> None:
    """What the library raises reaches the caller, and the span has it."""
    generate = _generator(folder)
    with spanreel.span("root"), pytest.raises(Exception, match=r".+") as caught:
        generate("the cat", max_new_tokens=-3)
    (row,) = _rows(recording)
    assert (row["status"], row["error_type"]) == ("error", type(caught.value).__name__)
