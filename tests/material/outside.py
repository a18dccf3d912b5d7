"""Tiny models that are no decoder, as transformers makes them."""

from __future__ import annotations

from typing import Any

import torch

TINY = {
    "vocab_size": 320,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_size": 64,
    "intermediate_size": 96,
}


def outside(kind: str) -> Any:
    """A tiny encoder with a classifier, or an encoder–decoder."""
    from transformers import (
        BartConfig,
        BartForConditionalGeneration,
        BertConfig,
        BertForSequenceClassification,
        T5Config,
        T5ForConditionalGeneration,
    )

    torch.manual_seed(0)
    if kind == "bert":
        return BertForSequenceClassification(BertConfig(**TINY)).eval()
    if kind == "t5":
        t5 = T5Config(
            vocab_size=320,
            d_model=64,
            d_kv=16,
            d_ff=96,
            num_layers=2,
            num_heads=4,
            decoder_start_token_id=0,
        )
        return T5ForConditionalGeneration(t5).eval()
    sides = {
        f"{side}_{name}": size
        for side in ("encoder", "decoder")
        for name, size in (("layers", 2), ("ffn_dim", 96))
    }
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    return BartForConditionalGeneration(
        BartConfig(vocab_size=320, d_model=64, **sides, **heads)
    ).eval()
