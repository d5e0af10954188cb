"""Tiny models with random weights, made here: a word-level tokenizer, one layer, sixteen dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "on", "mat", "dog", "a", "ran"]


def tokenizer(*, framed: bool) -> Any:
    """One token a word; `framed` by [CLS] and [SEP], as BERT has it."""
    inner = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    if framed:
        inner.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B [SEP]",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
        )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    if not framed:
        special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=64, **special)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models of this session lie: `gpt`, `bert` and `cross`."""
    torch.manual_seed(1)
    root = tmp_path_factory.mktemp("models")
    sizes: dict[str, Any] = {"vocab_size": len(WORDS)}
    gpt = GPT2Config(
        **sizes,
        n_layer=1,
        n_head=2,
        n_embd=16,
        n_positions=64,
        eos_token_id=3,
        bos_token_id=2,
        pad_token_id=0,
    )
    GPT2LMHeadModel(gpt).save_pretrained(root / "gpt")
    tokenizer(framed=False).save_pretrained(root / "gpt")
    bert: dict[str, Any] = {
        **sizes, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
        "max_position_embeddings": 64,
    }  # fmt: skip
    BertModel(BertConfig(**bert)).save_pretrained(root / "bert")
    tokenizer(framed=True).save_pretrained(root / "bert")
    BertForSequenceClassification(BertConfig(**bert, num_labels=1)).save_pretrained(root / "cross")
    tokenizer(framed=True).save_pretrained(root / "cross")
    return root
