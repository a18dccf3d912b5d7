"""Tiny random classifiers: encoders with a WordPiece tokenizer, and decoders with a score head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tunesmith.examples import Outputs

_TEXT = (
    "the cat dog cow red blue green one two six is a of and what who how many good bad film "
    "review very not big"
)
WORDS = _TEXT.split()
THREE = Outputs(("animal", "color", "number"), "single_label_classification")
SMALL: dict[str, Any] = {
    "vocab_size": 160,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
}


def word_tokenizer(folder: Path) -> None:
    """A BERT tokenizer over a few words, letters and Chinese characters."""
    from transformers import BertTokenizerFast

    letters = [
        *"abcdefghijklmnopqrstuvwxyz0123456789?.,!",
        *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"),
    ]
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS,
        *letters,
        *"的是不好很书酒店",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=128).save_pretrained(folder)


def encoder(folder: Path, kind: str = "bert", cls: str = "AutoModel", **changes: Any) -> Path:
    """Writes a tiny random encoder of this model type, as it comes from pretraining, and its
    tokenizer.
    """
    import transformers

    word_tokenizer(folder)
    config = transformers.AutoConfig.for_model(kind, **(SMALL | changes))
    torch.manual_seed(0)
    model = getattr(transformers, cls)
    built = model.from_config(config)
    for weight in built.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.15)
    built.save_pretrained(folder)
    return folder
