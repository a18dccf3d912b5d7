"""What was pruned to zero is zero after training, and everything else has moved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from material.proved import labelled, trained
from tunesmith.models.loading.load import load_model
from tunesmith.models.structure.layers import linear_layers
from tunesmith.models.structure.zeros import KeptZeros

NEW, ODD = "model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.gate_proj.weight"


def pruned(folder: Path) -> dict[str, torch.Tensor]:
    """Sets half of each linear layer to zero, but for one that is all zeros and one that has few."""
    weights = load_file(folder / "model.safetensors")
    for name, weight in weights.items():
        if name == NEW:
            weight.zero_()
        elif name == ODD:
            weight[0, :3] = 0
        elif "proj" in name:
            weight[weight.abs() < weight.abs().median()] = 0
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return weights


@pytest.mark.parametrize(
    "method", ["full", pytest.param({"name": "freeze", "last": 2}, marks=pytest.mark.slow)]
)
def test_zeros_stay_and_others_move(method: object, tmp_path: Path) -> None:
    from conftest import tiny_model

    model = tiny_model(tmp_path / "base")
    before = pruned(model)
    keep = {"evaluate": 0, "save": 0}
    run = trained(
        tmp_path, model, labelled(24), method=method,
        train={"steps": 3, "learning_rate": 1e-2, "keep": keep},
    )  # fmt: skip
    after = load_file(run.model / "model.safetensors")
    layers = [name for name in before if "proj" in name]
    assert len(layers) == 14
    for name in layers:
        still = (after[name] == 0) if name not in (NEW, ODD) else torch.zeros_like(after[name]) == 1
        wanted = (before[name] == 0) if name not in (NEW, ODD) else still
        assert torch.equal(still, wanted), name
        assert (after[name] != before[name])[~wanted].float().mean() > 0.9, name


def test_an_unpruned_model_has_none(tiny_llama: Path) -> None:
    model = load_model(tiny_llama, dtype=torch.float32, device="cpu").model
    assert len(linear_layers(model)) == 14 and KeptZeros(model).places == []
