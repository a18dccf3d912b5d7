"""A plain LoRA as engines other than peft read it: one pair a layer, its scale in B."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.plain import JsonObject

if TYPE_CHECKING:
    import torch

    from tunesmith.export.folders.source import Source

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
CHANGES_MORE = (
    "use_dora",
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
    "lora_bias",
)
"""Settings of peft's LoRA that change more than B A beside linear layers: neither the running
batch, nor vLLM, nor llama.cpp takes them.
"""
BEFORE, PAIR = "base_model.model.", (".lora_A.weight", ".lora_B.weight")
"""What peft writes around the name of a layer."""


def is_plain(folder: Path) -> bool:
    """Tells whether the folder holds an adapter that is B A beside linear layers and nothing
    else.
    """
    file = folder / CONFIG
    if not file.is_file():
        return False
    config = json.loads(file.read_text(encoding="utf-8"))
    more = config.get("bias", "none") != "none" or any(config.get(name) for name in CHANGES_MORE)
    return config.get("peft_type") == "LORA" and not more


def stands_alone(source: Source) -> bool:
    """Tells whether a run's adapter is a plain LoRA on a base as others load it."""
    changed = source.run.model.add_tokens or source.run.model.quantize
    return not changed and is_plain(source.place)


@dataclass(frozen=True)
class Lora:
    """The pairs A [r, I] and B [O, r] by the name of their layer; a layer changes by B A."""

    pairs: dict[str, tuple[torch.Tensor, torch.Tensor]]
    config: JsonObject

    @property
    def rank(self) -> int:
        """The largest rank."""
        return max(down.shape[0] for down, _ in self.pairs.values())


def largest_rank(folder: Path) -> int:
    """Returns the largest rank that a folder's settings name."""
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return max([config["r"], *(config.get("rank_pattern") or {}).values()])


def layers_in(folder: Path) -> list[str]:
    """Returns the names of the layers that a LoRA changes."""
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, "pt") as file:
        names = [key for key in file.keys() if key.endswith(PAIR[0])]  # noqa: SIM118
    return [name.removeprefix(BEFORE).removesuffix(PAIR[0]) for name in names]


def read_lora(folder: Path) -> Lora:
    """Reads a plain LoRA of peft and multiplies each B by the scale that peft gives it: readers of
    its folder know one scale, alpha / rank, and overlook rsLoRA and what single layers have.
    """
    from peft.utils.other import get_pattern_key
    from safetensors.torch import load_file

    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    weights, pairs = load_file(folder / WEIGHTS), {}
    alphas = config.get("alpha_pattern") or {}
    for key in weights:
        if not key.endswith(PAIR[0]):
            continue
        name = key.removeprefix(BEFORE).removesuffix(PAIR[0])
        down, up = weights[key].float(), weights[key.replace(*PAIR)].float()
        rank = down.shape[0]
        alpha = alphas.get(get_pattern_key([*alphas], name), config["lora_alpha"])
        pairs[name] = (down, up * (alpha / (rank**0.5 if config.get("use_rslora") else rank)))
    return Lora(pairs, config)


def write_lora(lora: Lora, place: Path) -> None:
    """Writes a folder of peft whose scale is 1 for every reader."""
    from safetensors.torch import save_file

    weights, ranks = {}, {}
    for name, pair in lora.pairs.items():
        weights |= {
            f"{BEFORE}{name}{end}": weight.contiguous()
            for end, weight in zip(PAIR, pair, strict=True)
        }
        if len(pair[0]) != lora.rank:
            ranks[name] = len(pair[0])
    save_file(weights, place / WEIGHTS, metadata={"format": "pt"})
    same = {"r": lora.rank, "lora_alpha": lora.rank, "use_rslora": False}
    config = {**lora.config, **same, "rank_pattern": ranks, "alpha_pattern": ranks}
    (place / CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")
