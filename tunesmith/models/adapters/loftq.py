"""LoftQ (Li et al. 2023, algorithm 1): A and B of a LoRA begin at the best approximation of what
quantising lost.

With one alternation the base is the quantised one. With more it is W − B A quantised, another base,
which what is saved must make again: the adapter's folder then holds that B A too, under a name that
peft refuses.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tunesmith.errors import Problem, SpecError
from tunesmith.models.structure.quantize import dequantised, quantise_again
from tunesmith.plain import JsonObject
from tunesmith.words import say

PEFT_TYPE = "TUNESMITH_LOFTQ"
"""What the adapter's configuration says instead of LORA."""
FILE = "before_rounding.safetensors"
"""What is taken out of each layer before it is quantised."""


def lora_layers(model: torch.nn.Module) -> JsonObject:
    """Returns peft's layers by full name in the base model."""
    from peft.tuners.lora import LoraLayer

    return {
        name.removeprefix("base_model.model."): part
        for name, part in model.named_modules()
        if isinstance(part, LoraLayer) and "default" in part.lora_A
    }


@torch.no_grad()
def alternate(model: torch.nn.Module, times: int) -> dict[str, torch.Tensor]:
    """Starts every LoRA of a peft model at W − q(W), then up to ``times`` − 1 times at W − q(W − B
    A), B A its last start.

    Quantising is no projection, so an alternation can lose ground; a layer keeps its best. Gives
    what was taken out of W for that, ``NAME.down`` and ``NAME.up``, without layers whose first was
    best. Measured on SmolLM2-135M at rank 16: the first takes 5 to 12 % off the distance to W, and
    five take another 7 to 10 % off what is left.
    """
    read = _Stored(_folder(model))
    taken = {}
    for name, layer in lora_layers(model).items():
        weight = _alike(read(name), layer.base_layer)
        rank = layer.r["default"]
        tried: list[tuple[float, int, torch.Tensor, torch.Tensor]] = []
        for turn in range(times):
            if turn:
                quantise_again(layer.base_layer, weight - tried[-1][3] @ tried[-1][2])
            lost = weight - dequantised(layer.base_layer)
            u, s, v = torch.linalg.svd(lost, full_matrices=False)
            root = s[:rank].sqrt()
            # Eckart and Young: what is left is what the other singular values make.
            left = float(s[rank:].norm())
            tried.append((left, turn, root[:, None] * v[:rank], u[:, :rank] * root))
        _, best, down, up = min(tried, key=lambda trial: trial[:2])
        if times > 1:
            before = (
                {f"{name}.down": tried[best - 1][2], f"{name}.up": tried[best - 1][3]}
                if best
                else {}
            )
            _round(layer.base_layer, weight, before, name)
            taken |= before
        layer.lora_A["default"].weight.copy_(down)
        layer.lora_B["default"].weight.copy_(up / layer.scaling["default"])
    return {key: tensor.cpu().contiguous() for key, tensor in taken.items()}


@torch.no_grad()
def restore(model: torch.nn.Module, taken: dict[str, torch.Tensor]) -> None:
    """Quantises the layers of a base again, without what ``taken`` says; inside peft's layers or
    plain.
    """
    read = _Stored(_folder(model))
    inside = lora_layers(model)
    for name in dict.fromkeys(key.rpartition(".")[0] for key in taken):
        layer = inside[name].base_layer if name in inside else model.get_submodule(name)
        _round(layer, _alike(read(name), layer), taken, name)


def save(taken: dict[str, torch.Tensor], folder: Path) -> None:
    """Saves ``taken`` beside an adapter that is saved already."""
    if not taken:
        return
    save_file(taken, folder / FILE, metadata={"format": "pt"})
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"peft_type": PEFT_TYPE}
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")


def with_adapter(model: torch.nn.Module, place: Path) -> Any:
    """Puts peft's adapter in ``place`` on ``model``; first restores the base that it was trained
    beside, where ``place`` says how.
    """
    from peft import PeftModel, get_peft_config

    config = json.loads((place / "adapter_config.json").read_text(encoding="utf-8"))
    if config.get("peft_type") != PEFT_TYPE:
        return PeftModel.from_pretrained(model, place)
    restore(model, load_file(place / FILE))
    return PeftModel.from_pretrained(
        model, place, config=get_peft_config(config | {"peft_type": "LORA"})
    )


def _round(
    layer: torch.nn.Module, weight_OI: torch.Tensor, taken: dict[str, torch.Tensor], name: str
) -> None:
    down, up = (taken.get(f"{name}.{key}") for key in ("down", "up"))
    without = (
        weight_OI
        if down is None or up is None
        else weight_OI - up.to(weight_OI) @ down.to(weight_OI)
    )
    quantise_again(layer, without)


def _folder(model: Any) -> Path:
    return Path(model.name_or_path)


def _alike(stored: torch.Tensor, layer: Any) -> torch.Tensor:
    """Returns the stored weight in fp32, transposed and placed as the layer has it, which must not
    have been changed yet.
    """
    weight = stored.to(layer.weight.device).float()
    shape = (layer.out_features, layer.in_features)
    if weight.shape != shape:
        return weight.T
    # GPT-2 stores its weights the other way round. The shape of a square one does not tell, its
    # distance does: rounding moves a weight by a tenth of its size, turning it by more than all.
    rounded = layer.weight if layer.weight.shape == shape else dequantised(layer)
    if shape[0] == shape[1] and (weight.T - rounded).norm() < (weight - rounded).norm():
        return weight.T
    return weight


class _Stored:
    """The base's weights as they are stored, by the name of their layer, one at a time."""

    def __init__(self, folder: Path) -> None:
        self.places: dict[str, Path] = {}
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, "pt") as opened:
                self.places |= dict.fromkeys(opened.keys(), file)

    def __call__(self, layer: str) -> torch.Tensor:
        name = f"{layer}.weight"
        # Some folders leave out the name of the trunk (model., transformer.).
        key = next((key for key in (name, name.partition(".")[2]) if key in self.places), None)
        if key is None:
            raise SpecError(Problem("method.init", say("method.loftq_no_weight", name=name)))
        with safe_open(self.places[key], "pt") as opened:
            return opened.get_tensor(key)
