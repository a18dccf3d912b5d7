"""Tiny random models with an encoder and a decoder, each with a tokenizer that ends texts as its
family's does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIZES: dict[str, Any] = {"vocab_size": 404, "d_model": 32}
T5 = SIZES | {"d_kv": 8, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4}
T5 |= {
    "relative_attention_num_buckets": 8,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
}
LAYERS = {
    f"{side}_{what}": size
    for side in ("encoder", "decoder")
    for what, size in (("layers", 2), ("attention_heads", 4))
}
BART = (
    SIZES
    | LAYERS
    | {
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 256,
        "decoder_start_token_id": 1,
    }
)
BART |= {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "forced_eos_token_id": None}

# Model type -> its settings, and whether its tokenizer begins a text with <s>; the key before "+"
# is the type.
MODELS: dict[str, tuple[dict[str, Any], bool]] = {
    "t5": (T5, False),
    "t5+untied": (T5 | {"tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"}, False),
    "mt5": (T5 | {"tie_word_embeddings": False}, False),
    "bart": (BART, True),
    "marian": (BART | {"decoder_start_token_id": 0}, False),
}


def tiny_pair(folder: Path, name: str = "t5", **changes: Any) -> Path:
    """Writes the model and its tokenizer to ``folder``."""
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    settings, begins = MODELS[name]
    tokenizer(folder, begins)
    torch.manual_seed(0)
    config = AutoConfig.for_model(name.partition("+")[0], **(settings | changes))
    model = AutoModelForSeq2SeqLM.from_config(config)
    for key, weight in [*model.named_parameters(), *model.named_buffers()]:
        if weight.dim() > 1 and "position" not in key:
            torch.nn.init.normal_(weight, std=0.15)
    model.save_pretrained(folder)
    return folder


def tokenizer(folder: Path, begins: bool) -> None:
    """Writes a byte-level BPE tokenizer that puts ``</s>`` behind a text, and ``<s>`` in front of
    it where it ``begins``.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<pad>", "</s>", "<s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(
        ["How far is it from here to the sea? translate summarize the answer", "翻译成中文"] * 20,
        trainer,
    )
    form = "<s> $A </s>" if begins else "$A </s>"
    made.post_processor = processors.TemplateProcessing(
        single=form, special_tokens=[("</s>", 1), ("<s>", 2)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="</s>", pad_token="<pad>", bos_token="<s>"
    )
    fast.save_pretrained(folder)
