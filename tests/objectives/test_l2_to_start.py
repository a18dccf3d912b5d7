"""Another objective, held to where the weights began: closed forms on a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from material import runs
from tunesmith.errors import SpecError
from tunesmith.events.stream import Events
from tunesmith.objectives import OBJECTIVES
from tunesmith.planning.make import make
from tunesmith.training.loop import gradient
from tunesmith.training.preparing import make_ready
from tunesmith.training.start import train
from tunesmith.training.work import Work

LORA = {"name": "lora", "rank": 4, "alpha": 12, "init": "gaussian"}


def held(weight: float, **overrides: Any) -> dict[str, Any]:
    return {"objective": {"name": "l2_to_start", "weight": weight}} | overrides


def work_of(out: Path, model: Path, **overrides: Any) -> Work:
    one = runs.resolved(out, model, **overrides)
    work = make_ready(one, runs.data_of(one), Events()).work
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, weight in work.named:
            weight.add_(0.05 * torch.randn(weight.shape, generator=draw))
    return work


def stepped(work: Work, halvings: int) -> tuple[float, float, dict[str, torch.Tensor], int]:
    """One step's distance and loss, its gradient, and in how many micro-batches it came."""
    examples = work.source.step(0, work.models).passes[0]
    cuts = work.batches(examples, halvings)
    numbers, _ = gradient(work, cuts, 1)
    found = {name: one.grad.clone() for name, one in work.named if one.grad is not None}
    work.optimizer.zero_grad()
    return numbers["distance"].value, numbers["loss"].value, found, len(cuts)


UNCLIPPED = {"train": {"clip": 1e9}}


@pytest.mark.parametrize("method", ["full", LORA], ids=["full", "lora"])
def test_the_penalty_counts_once_a_step_however_it_is_cut(
    method: Any, tiny_llama: Path, tmp_path: Path
) -> None:
    overrides = UNCLIPPED | {"method": method}
    plain = work_of(tmp_path / "plain", tiny_llama, **overrides)
    work = work_of(tmp_path / "held", tiny_llama, **held(0.3, **overrides))
    whole, parts = stepped(work, 0), stepped(work, 6)
    assert whole[3] == 1 and parts[3] >= 4
    _, loss, alone, _ = plain_step(plain)
    assert whole[1] == pytest.approx(loss, rel=1e-6), "the loss is told without the penalty"
    assert whole[0] == pytest.approx(parts[0], rel=1e-6)
    expected = closed(work, method, 0.3)
    assert whole[0] == pytest.approx(expected[0], rel=1e-5) and whole[0] > 1e-3
    for name, one in whole[2].items():
        torch.testing.assert_close(one, parts[2][name], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(one - alone[name], expected[1][name], rtol=1e-3, atol=1e-5)


def plain_step(work: Work) -> tuple[float, float, dict[str, torch.Tensor], int]:
    cuts = work.batches(work.source.step(0, work.models).passes[0])
    numbers, _ = gradient(work, cuts, 1)
    found = {name: one.grad.clone() for name, one in work.named if one.grad is not None}
    return 0.0, numbers["loss"].value, found, len(cuts)


def closed(work: Work, method: Any, weight: float) -> tuple[float, dict[str, torch.Tensor]]:
    """The penalty, and its gradient by the formulas: w (θ − θ₀) of a weight; of a LoRA, with
    Δ = s B A, w s Δ Aᵀ for B and w s Bᵀ Δ for A.
    """
    named = {name: one.detach() for name, one in work.named}
    gradients: dict[str, torch.Tensor] = {}
    squares = 0.0
    if method == "full":
        draw = torch.Generator().manual_seed(1)
        for name, one in named.items():
            moved = 0.05 * torch.randn(one.shape, generator=draw)
            gradients[name] = weight * moved
            squares += float(moved.square().sum())
    else:
        for name, down in named.items():
            if "lora_A" not in name:
                continue
            other = name.replace("lora_A", "lora_B")
            up, scale = named[other], 12 / 4
            change = scale * up @ down
            gradients[name] = weight * scale * up.T @ change
            gradients[other] = weight * scale * change @ down.T
            squares += float(change.square().sum())
    return weight * squares / 2, gradients


def test_a_heavy_weight_leaves_the_model_where_it_began(tiny_llama: Path, tmp_path: Path) -> None:
    changes: dict[str, float] = {}
    for name, weight in (("light", 1e-6), ("heavy", 1e4)):
        asked = held(weight, method="full", train={"steps": 4, "learning_rate": 1e-3})
        one = runs.resolved(tmp_path / name, tiny_llama, **asked)
        folder = train(one, prepared=runs.data_of(one))
        last = [line for line in folder.steps() if "distance" in line][-1]
        changes[name] = last["distance"] / weight
    assert changes["heavy"] < changes["light"] / 3


@pytest.mark.parametrize(
    "method",
    [
        "ia3",
        {"name": "lora", "variant": "dora"},
        {"name": "lora", "init": "pissa"},
        {"name": "lora", "bias": "all"},
    ],
    ids=str,
)
def test_a_method_whose_distance_holds_nothing_is_refused(
    method: Any, tiny_llama: Path, tmp_path: Path
) -> None:
    run = runs.asked(tmp_path / "run", tiny_llama, **held(1.0, method=method))
    problems = [one for one in make(run).problems if one.where == "method"]
    assert len(problems) == 1 and "l2_to_start measures how far" in problems[0].text


def test_no_wrapper_stands_in_another() -> None:
    config = OBJECTIVES.config({"name": "l2_to_start", "of": "distill_to_base"})
    with pytest.raises(SpecError, match=r"objective\.of: l2_to_start cannot hold distill_to_base"):
        OBJECTIVES.make(config)
