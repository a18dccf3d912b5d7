"""The architectures that are written, and what llama.cpp wants to know of each.

Every other one is written by llama.cpp's own script from a merged folder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunesmith.errors import Problem
from tunesmith.words import say

if TYPE_CHECKING:
    import gguf
    import numpy as np

ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
    "phi": "phi2",
    "phi3": "phi3",
}
"""transformers' model type, and llama.cpp's name."""
ACTIVATIONS = dict.fromkeys(("gemma", "gemma2", "gemma3"), "gelu_pytorch_tanh") | {
    "phi2": "gelu_new"
}
"""What llama.cpp computes between the feed-forward layers, where it is not silu."""
PERIODS = {"gemma2": 2, "gemma3": 6}
"""Of so many layers the last one sees everything, and the others a window."""
ONE_LARGE = {"gemma2": 46, "gemma3": 62}
"""Layers of the one model of which llama.cpp scales queries by another width."""
ROPES = ("default", "linear", "llama3")
SCRIPT = "convert_hf_to_gguf.py"
"""llama.cpp's own converter."""


def refused_architecture(config: Any) -> list[Problem]:
    """Returns a problem where the model is none that is written here."""
    kind = config.model_type
    if kind not in ARCHITECTURES:
        allowed = ", ".join(ARCHITECTURES)
        text = say("export.gguf_architecture", kind=kind, known=allowed, script=SCRIPT)
        return [Problem("format", text)]
    rope = rope_of(config).kind
    if rope not in ROPES:
        return [Problem("format", say("export.gguf_rope", rope=rope, script=SCRIPT))]
    if _is_usual(config, ARCHITECTURES[kind]):
        return []
    return [Problem("format", say("export.gguf_variant", kind=kind, script=SCRIPT))]


def _is_usual(config: Any, kind: str) -> bool:
    """Tells whether a model is built as llama.cpp builds all of its ``kind``."""
    values: dict[str, Any] = config.to_dict()
    if (values.get("hidden_activation") or values["hidden_act"]) != ACTIVATIONS.get(kind, "silu"):
        return False
    biased = config.model_type != "qwen2" and (
        values.get("attention_bias") or values.get("mlp_bias")
    )
    odd = biased or values.get("qk_layernorm") or values.get("use_bidirectional_attention")
    if odd or (kind == "gemma3" and _caps(values)):
        return False
    if kind not in PERIODS:
        return True
    large = config.num_hidden_layers == ONE_LARGE[kind]
    scaled = config.hidden_size / config.num_attention_heads if large else head_size(config)
    wide = [kind == "full_attention" for kind in config.layer_types]
    period = PERIODS[kind]
    usual = [(number + 1) % period == 0 for number in range(config.num_hidden_layers)]
    return values["query_pre_attn_scalar"] == scaled and wide == usual


def _caps(told: dict[str, Any]) -> bool:
    return bool(told.get("attn_logit_softcapping") or told.get("final_logit_softcapping"))


@dataclass(frozen=True)
class Rope:
    """How positions are turned."""

    kind: str
    theta: float
    settings: dict[str, Any]


def rope_of(config: Any, layers: str = "full_attention") -> Rope:
    """Reads the rotation of positions; of models whose layers differ, that of ``layers``."""
    values = dict(config.rope_parameters)
    values = dict(values[layers]) if layers in values else values
    return Rope(values.pop("rope_type", "default"), values.pop("rope_theta", 10000.0), values)


def head_size(config: Any) -> int:
    """Returns the width of one attention head."""
    size = config.to_dict().get("head_dim")
    return size or config.hidden_size // config.num_attention_heads


def add_settings(writer: gguf.GGUFWriter, config: Any, rows: int) -> None:
    """Writes the sizes of the model; ``rows`` is the height of its embedding."""
    import gguf

    width, rope = head_size(config), rope_of(config)
    values = config.to_dict()
    writer.add_vocab_size(rows)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    if "rms_norm_eps" in values:
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    else:
        writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_rope_freq_base(rope.theta)
    writer.add_rope_dimension_count(int(width * rope.settings.get("partial_rotary_factor", 1.0)))
    writer.add_key_length(width)
    writer.add_value_length(width)
    if rope.kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope.settings["factor"])
    kind = ARCHITECTURES[config.model_type]
    if kind in PERIODS:
        writer.add_sliding_window(config.sliding_window)
        writer.add_rope_freq_base_swa(rope_of(config, "sliding_attention").theta)
    if kind == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)


def tensors(model: Any, config: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yields llama.cpp's name and the values, in fp32, of every tensor; a head that is tied to the
    embedding is left out.
    """
    import torch

    names, rope = names_of(config), rope_of(config)
    if rope.kind == "llama3":
        yield "rope_freqs.weight", _llama3_factors(rope, head_size(config))
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        yield names(name), as_written(name, tensor.to(torch.float32).numpy(), config)


def names_of(config: Any) -> Callable[[str], str]:
    """Returns what gives llama.cpp's name of a tensor."""
    import gguf

    kind = ARCHITECTURES[config.model_type]
    arch = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == kind)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)

    def called(name: str) -> str:
        name_there = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert name_there is not None, f"{kind} has no tensor {name}"
        return name_there

    return called


def as_written(name: str, values: np.ndarray, config: Any) -> np.ndarray:
    """Returns the values of transformers' tensor ``name`` as llama.cpp keeps them. What a LoRA adds
    to a layer's outputs is kept as the layer's own rows are.
    """
    kind = ARCHITECTURES[config.model_type]
    if kind.startswith("gemma") and name.endswith("norm.weight"):
        return values + 1.0  # transformers adds it as it runs
    if kind == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
        keys = "k_proj" in name
        return turned(values, config.num_key_value_heads if keys else config.num_attention_heads)
    return values


def turned(rows: np.ndarray, heads: int) -> np.ndarray:
    """Reorders the rows [heads · width, I] of a query or key: llama.cpp turns neighbouring pairs
    where transformers turns the two halves of a head.
    """
    size, inner = rows.shape[0] // heads // 2, rows.shape[1:]
    return rows.reshape(heads, 2, size, *inner).swapaxes(1, 2).reshape(rows.shape)


def _llama3_factors(rope: Rope, width: int) -> np.ndarray:
    """Computes by how much Llama 3.1 slows each frequency [width / 2]: the long ones by ``factor``,
    the short ones not at all, those between by a mixture.
    """
    import numpy as np

    settings = rope.settings
    factor, old = settings["factor"], settings["original_max_position_embeddings"]
    low, high = settings["low_freq_factor"], settings["high_freq_factor"]
    waves = 2 * math.pi * rope.theta ** (np.arange(0, width, 2) / width)
    smooth = np.clip((old / waves - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)
