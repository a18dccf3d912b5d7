"""A folder in the format of compressed-tensors, which transformers, vLLM and SGLang load: whole
numbers packed into int32 or 8-bit floats, scales beside them, and what is not rounded in bf16.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tunesmith.export.rounding.codes import Codes
from tunesmith.plain import JsonObject

if TYPE_CHECKING:
    from tunesmith.export.folders.source import Source
    from tunesmith.predicting.engine import TorchEngine


def packed(codes_OI: torch.Tensor, bits: int) -> torch.Tensor:
    """Packs codes, made positive, into int32 [O, I * bits / 32], the first in the lowest bits."""
    each = 32 // bits
    positive = codes_OI.to(torch.int64) + 2 ** (bits - 1)
    parts = positive.reshape(codes_OI.shape[0], -1, each)
    words = (parts << (torch.arange(each) * bits)).sum(-1)
    # Numbers above 2^31 - 1 are the negative ones with the same bits.
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)


def open_compressed(place: Path, source: Source) -> TorchEngine | None:
    """Loads the folder in transformers; None where compressed-tensors is not installed."""
    from tunesmith.export.folders.whole import open_folder

    if importlib.util.find_spec("compressed_tensors") is None:
        return None
    _no_bars()
    return open_folder(place, source)


def _no_bars() -> None:
    """Lets compressed-tensors draw no bars across ours; it has no switch for them, and draws the
    last ones when the model is first asked.
    """
    import compressed_tensors  # noqa: F401  # with all its parts
    from tqdm import tqdm

    for name, module in [*sys.modules.items()]:
        if name.startswith("compressed_tensors.") and vars(module).get("tqdm") is tqdm:
            vars(module).update(tqdm=_undrawn)


def _undrawn(items: Iterable[Any], **_: Any) -> Iterable[Any]:
    return items


def save_compressed(model: Any, place: Path, codes: dict[str, Codes]) -> None:
    """Writes weights and config.json of ``model``, with the layers of ``codes`` rounded."""
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    tied = model.config.get_text_config().tie_word_embeddings
    for name, tensor in model.state_dict().items():
        layer = name.removesuffix(".weight")
        if name == "lm_head.weight" and tied:
            continue
        if layer in codes and name != layer:
            layer_codes = codes[layer]
            tensors[f"{layer}.weight_scale"] = layer_codes.scales
            if layer_codes.floating:
                tensors[f"{layer}.weight"] = layer_codes.codes.to(torch.float8_e4m3fn)
            else:
                tensors[f"{layer}.weight_packed"] = packed(layer_codes.codes, layer_codes.bits)
                tensors[f"{layer}.weight_shape"] = torch.tensor(layer_codes.codes.shape)
        else:
            floating = tensor.is_floating_point()
            tensors[name] = (tensor.to(torch.bfloat16) if floating else tensor).contiguous()
    save_file(tensors, place / "model.safetensors", {"format": "pt"})
    config = model.config.to_dict()
    config["dtype"] = "bfloat16"
    others = [
        name
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Linear) and name not in codes
    ]
    config["quantization_config"] = _settings([*codes.values()], others)
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (place / "config.json").write_text(text + "\n", encoding="utf-8")


def _settings(codes: list[Codes], others: list[str]) -> JsonObject:
    """Returns the part of config.json by which readers know the format."""
    # A layer that is no wider than a group has one scale for each output; others may have more.
    widest = max(codes, key=lambda widest: widest.scales.shape[1])
    groups = widest.scales.shape[1]
    whole = groups == 1
    weights = {
        "num_bits": widest.bits,
        "type": "float" if widest.floating else "int",
        "symmetric": True,
        "strategy": "channel" if whole else "group",
        "group_size": None if whole else widest.codes.shape[1] // groups,
        "dynamic": False,
    }
    group = {"targets": ["Linear"], "weights": weights}
    # Kernels for fp8 multiply fp8 by fp8: what a layer is given is rounded as it runs, for each
    # token by its own scale.
    inputs = {**weights, "strategy": "token", "dynamic": True} if widest.floating else None
    group |= {"input_activations": inputs, "output_activations": None}
    return {
        "quant_method": "compressed-tensors",
        "format": "float-quantized" if widest.floating else "pack-quantized",
        "quantization_status": "compressed",
        "ignore": others,
        "config_groups": {"group_0": group},
    }
