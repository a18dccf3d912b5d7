"""What the choices of GRPO sum up does not depend on how the answers are cut and laid out."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from material import runs
from tunesmith.batches.rollout import Group
from tunesmith.events.stream import Events
from tunesmith.settings.family import OBJECTIVES
from tunesmith.training.loop import gradient
from tunesmith.training.preparing import make_ready
from tunesmith.training.work import Work

CHOICES: dict[str, dict[str, Any]] = {
    "gspo": {"ratio": "sequence", "aggregation": "answer", "advantage": "group"},
    "rloo": {"ratio": "product", "aggregation": "answer", "advantage": "leave_one_out"},
    "two sided": {"clip": "two_sided", "aggregation": "constant", "advantage": "batch_std"},
    "cispo": {"clip": "cispo", "cap": 1.1, "kl": "loss"},
    "sapo": {"clip": "sapo", "overlong": "punished", "kl": "reward"},
    "masked": {"overlong": "masked", "advantage": "group", "aggregation": "answer"},
}
HOW = SimpleNamespace(samples=4, max_new_tokens=12, temperature=1.0, passes=2)


@pytest.fixture(scope="module")
def sampled(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Work, list[Group]]:
    """A run, and the answers to its first prompts, whose rewards all differ."""
    source = {"rewards": {"name": "language", "language": "en"}, "samples": 4}
    one = runs.resolved(
        tmp_path_factory.mktemp("choices") / "run",
        tiny_llama,
        objective={"name": "grpo", "kl": "reward"},
        source={**source, "max_new_tokens": 12},
        method={"name": "lora", "rank": 4},
        **{"train.batch": 4, "train.clip": 0},
    )
    work = make_ready(one, runs.data_of(one), Events()).work
    generator = np.random.default_rng(0)
    groups = work.source._answered(work.source._first(4), 0).groups  # type: ignore[attr-defined]
    for group in groups:
        group.rewards_G = generator.normal(size=4)
        group.answers[:2] = [replace(one, stopped=True) for one in group.answers[:2]]
    return work, groups


@pytest.mark.parametrize("choice", CHOICES)
def test_neither_cut_nor_layout_nor_order_changes_the_sum(
    choice: str, sampled: tuple[Work, list[Group]]
) -> None:
    work, groups = sampled
    made: Any = OBJECTIVES.make(OBJECTIVES.config({"name": "grpo", **CHOICES[choice]}))
    made.sampled(HOW)
    work.objective = made
    examples, _ = made.experience(copy.deepcopy(groups), work.model, work.models)
    before = [weight.detach().clone() for _, weight in work.named]
    torch.manual_seed(1)
    for _, weight in work.named:  # so that no ratio is 1
        weight.data += 0.05 * torch.randn_like(weight)

    def found(parts: list[Any], budget: int, layout: str) -> tuple[float, torch.Tensor, int]:
        work.micro_tokens, work.model.layout = budget, layout  # type: ignore[assignment]
        cuts = work.batches(parts)
        metrics, _ = gradient(work, cuts, 1)
        grads = [one.grad.flatten() for _, one in work.named if one.grad is not None]
        work.optimizer.zero_grad(set_to_none=True)
        return metrics["loss"].value, torch.cat(grads), len(cuts)

    loss, whole, count = found(examples, 4096, "forest")
    assert whole.norm() > 0 and count == 1
    for parts, budget, layout in (
        (examples, 64, "forest"),
        (examples[::-1], 100, "padded"),
        (examples, 4096, "padded"),
    ):
        other, grads, cuts = found(parts, budget, layout)
        assert cuts > 1 or budget == 4096
        assert other == pytest.approx(loss, abs=1e-5)
        assert float((grads - whole).norm() / whole.norm()) < 1e-4
    for weight, own in zip((one for _, one in work.named), before, strict=True):
        weight.data.copy_(own)
