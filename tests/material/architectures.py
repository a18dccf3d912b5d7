"""Tiny random models of the architectures that people tune, for the tests of the forest."""

from __future__ import annotations

from typing import Any

import torch

SIZES: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}

EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48}

# Model type -> what differs from SIZES; the key before "+" is the type.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {"head_dim": 16},
    "mistral": {"sliding_window": 4096},
    "mistral+short window": {"sliding_window": 8},
    "gemma": {"head_dim": 16},
    "gemma2": {"head_dim": 16, "sliding_window": 8, "query_pre_attn_scalar": 16},
    "gemma3_text": {"head_dim": 16, "sliding_window": 8, "query_pre_attn_scalar": 16},
    "phi3": {},
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256, "n_inner": 96},
    "gpt_neox": {},
    "opt": {"ffn_dim": 96, "word_embed_proj_dim": 64},
    "starcoder2": {},
    "olmo2": {},
    "granite": {"logits_scaling": 4.0},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": EXPERTS | {"shared_expert_intermediate_size": 48},
    "qwen3_moe": EXPERTS | {"head_dim": 16},
    "smollm3": {},
    "glm4": {"head_dim": 16},
    "cohere": {"logit_scale": 0.25},
    "gpt_oss": {
        "head_dim": 16,
        "sliding_window": 8,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
    },
    "stablelm": {},
    "nemotron": {},
    "falcon": {"num_kv_heads": 4},
    "gpt_neo": {
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 8,
    },
    "bloom": {"n_layer": 2, "n_head": 4},
}

# What hands the forest down to its attention and is exact there; the others must be found out and
# run padded.
FOREST = set(ARCHITECTURES) - {"stablelm", "nemotron", "falcon", "gpt_neo", "bloom"}


def tiny(name: str, **how: Any) -> Any:
    """A random model whose attention matters (weights of std 0.15), in evaluation mode."""
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = SIZES | ARCHITECTURES[name]
    # Configs with names of their own (n_embd) refuse the common ones beside them.
    kind = name.partition("+")[0]
    if "num_key_value_heads" not in AutoConfig.for_model(kind).to_dict():
        del settings[
            "num_key_value_heads"
        ]  # it would be carried along without effect, and believed by others
    config = AutoConfig.for_model(kind, **settings)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, **how).float().eval()
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.15)
    return model
