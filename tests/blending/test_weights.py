"""Weights between base and tuned: the ends are the two models, and between them a layer that is
linear stays linear.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from material.exported import tuned
from material.proved import labelled, trained
from tunesmith.blending.weights import base_weights, refused, write_between
from tunesmith.models.finding.hub import folder_of
from tunesmith.models.saved import load_run
from tunesmith.storage.run_folder import RunFolder


def at(folder: RunFolder, alpha: float) -> RunFolder:
    run = folder.resolved().run
    adapter = (folder.model / "adapter_config.json").is_file()
    base = base_weights(run, folder_of(run.model), adapter)
    write_between(folder, base, alpha, folder.path / f"at-{alpha:g}")
    return RunFolder(folder.path, f"at-{alpha:g}")


def logits(folder: RunFolder, *, tuned: bool = True) -> torch.Tensor:
    model = load_run(folder, tuned=tuned).model
    with torch.no_grad():
        return model(input_ids=torch.arange(3, 40)[None]).logits.double()


def change(folder: RunFolder) -> dict[str, torch.Tensor]:
    """What an adapter adds to each layer, s left out."""
    saved = load_file(folder.model / "adapter_model.safetensors")
    return {
        name: saved[name.replace("lora_A", "lora_B")].double() @ one.double()
        for name, one in saved.items()
        if "lora_A" in name
    }


@pytest.fixture(scope="module")
def runs(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    place = tmp_path_factory.mktemp("ends")
    short = {"steps": 3, "learning_rate": 5e-3, "keep": {"evaluate": 0, "save": 0}}
    full = trained(place, tiny_llama, labelled(60), method="full", train=short)
    return {"lora": tuned(place / "adapter", tiny_llama), "full": full}


@pytest.mark.parametrize("name", ["lora", "full"])
def test_the_ends_are_the_two_models(runs: dict[str, RunFolder], name: str) -> None:
    run = runs[name]
    assert logits(at(run, 1.0)).equal(logits(run)), "1 is the tuned model, bit for bit"
    assert logits(at(run, 0.0)).equal(logits(run, tuned=False)), "0 answers as the base"
    assert not logits(run).equal(logits(run, tuned=False))


def test_the_change_of_an_adapter_is_linear_in_alpha(runs: dict[str, RunFolder]) -> None:
    whole, part = change(runs["lora"]), change(at(runs["lora"], 0.3))
    for name, one in whole.items():
        # The factors are fp32: 0.3 of B rounds at 1e-7 of its size.
        torch.testing.assert_close(part[name], 0.3 * one, rtol=1e-6, atol=1e-7)


def test_whole_weights_lie_on_the_line(runs: dict[str, RunFolder], tiny_llama: Path) -> None:
    run = runs["full"]
    base, end = (
        load_file(tiny_llama / "model.safetensors"),
        load_file(run.model / "model.safetensors"),
    )
    middle = load_file(at(run, 0.25).model / "model.safetensors")
    moved = 0.0
    for name, weight in end.items():
        start = base[name].float()
        torch.testing.assert_close(middle[name].float(), 0.75 * start + 0.25 * weight.float())
        moved = max(moved, float((weight.float() - start).abs().max()))
    assert moved > 1e-3


def test_an_adapter_that_is_no_product_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    short = {"steps": 1, "keep": {"evaluate": 0, "save": 0}}
    dora = {"name": "lora", "rank": 4, "variant": "dora"}
    run = trained(tmp_path, tiny_llama, labelled(60), method=dora, train=short)
    (problem,) = refused(run)
    assert problem.where == "method"
    assert "lora_magnitude_vector" in problem.text and "method=full" in problem.text
