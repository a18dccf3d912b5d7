"""Where the values of PPO come from: a head on the policy, one that moves the policy's layers too,
or a model of its own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from material import runs
from tunesmith.events.stream import Events
from tunesmith.planning import memory
from tunesmith.planning.make import make
from tunesmith.planning.memory import Memory
from tunesmith.planning.shape import Shape
from tunesmith.settings.run import validate, with_overrides
from tunesmith.training.loop import gradient, take_step
from tunesmith.training.preparing import make_ready
from tunesmith.training.work import Position, Work

SOURCE = {"rewards": {"name": "language", "language": "en"}, "samples": 2, "max_new_tokens": 6}


def settings(value: str, **own: Any) -> dict[str, Any]:
    objective = {"name": "ppo", "kl_weight": 0, "value": value, **own}
    return {"objective": objective, "source": SOURCE, "train.batch": 4, "train.warmup": 0}


def work_of(out: Path, model: Path, value: str, **overrides: Any) -> Work:
    own = {key: overrides.pop(key) for key in list(overrides) if key.startswith("value_")}
    one = runs.resolved(out, model, **settings(value, **own), **overrides)
    return make_ready(one, runs.data_of(one), Events()).work


def grown(work: Work, steps: int = 1) -> dict[str, torch.Tensor]:
    """How far each weight has gone after some steps."""
    before = {name: weight.detach().clone() for name, weight in work.named}
    at = Position()
    for _ in range(steps):
        take_step(work, at)
        at.step += 1
    return {name: weight.detach() - before[name] for name, weight in work.named}


@pytest.mark.parametrize(
    ("value", "apart"),
    [("head", True), pytest.param("own", True, marks=pytest.mark.slow), ("joint", False)],
)
def test_learning_the_values_leaves_the_gradient_of_the_policy(
    value: str, apart: bool, tiny_llama: Path, tmp_path: Path
) -> None:
    """Its clipping too, though the loss of the values is a thousand times the policy's."""

    def policys(weight: float) -> torch.Tensor:
        work = work_of(tmp_path / "run", tiny_llama, value, value_weight=weight)
        heads = [one for name, one in work.named if name.startswith("value/linear.")]
        torch.nn.init.constant_(heads[0], 0.5)  # a head of zeros moves nothing that it stands on
        work = clipped_at(work, 1e-3)
        cuts = work.batches(work.source.step(0, work.models).passes[0])
        gradient(work, cuts, 1)
        found = [one.grad for name, one in work.named if not name.startswith("value/")]
        return torch.cat([grad.flatten() for grad in found if grad is not None])

    assert torch.equal(policys(0.01), policys(1000.0)) == apart


def clipped_at(work: Work, limit: float) -> Work:
    work.run = work.run.model_copy(
        update={"train": work.run.train.model_copy(update={"clip": limit})}
    )
    return work


@pytest.mark.parametrize(
    "method",
    [{"name": "lora", "rank": 4, "plus_ratio": 3}, pytest.param("full", marks=pytest.mark.slow)],
)
def test_a_model_of_its_own_is_trained_like_the_policy_at_its_own_rate(
    method: Any, tiny_llama: Path, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"method": method, "train.optimizer": "sgd", "train.clip": 0}
    how |= {"train.schedule": "constant", "train.learning_rate": 1e-3}
    once = work_of(tmp_path / "a", tiny_llama, "own", **how)
    own = [name for name, _ in once.named if name.startswith("value/trunk/")]
    policys = [name for name, _ in once.named if not name.startswith("value/")]
    assert {name.removeprefix("value/trunk/") for name in own} <= set(policys)
    left = set(policys) - {name.removeprefix("value/trunk/") for name in own}
    assert left <= {"lm_head.weight"}, "only the output head, which nothing reads, is not trained"
    faster = work_of(tmp_path / "b", tiny_llama, "own", value_rate=4.0, **how)
    slow, fast = grown(once), grown(faster)
    assert slow["value/linear.weight"].any()
    for name in slow:
        factor = 4.0 if name.startswith("value/") else 1.0
        assert torch.allclose(fast[name], factor * slow[name], atol=1e-7), name
    # The head begins at 0, so what it stands on moves from the second update on.
    further = grown(once)
    assert sum(further[name].abs().sum() for name in own) > 0


@pytest.mark.parametrize(
    "method",
    ["adalora", "prefix", {"name": "lora", "init": "pissa"}, {"name": "lora", "bias": "all"}],
)
def test_a_method_that_follows_one_model_is_refused(
    method: Any, tiny_llama: Path, tmp_path: Path
) -> None:
    for value, refused in (("own", True), ("head", False)):
        plain = runs.asked(tmp_path / "run", tiny_llama).model_dump(exclude_unset=True, mode="json")
        run = validate(with_overrides({**plain, "method": method}, settings(value)))
        told = [one.text for one in make(run).problems if one.where == "method"]
        assert any("objective.value=own trains a second one" in text for text in told) == refused


def test_the_plan_counts_both_models(tiny_llama: Path, tmp_path: Path) -> None:
    form = Shape("decoder", 5000, 700, None, 300, 4000, (90.0, 40.0), 0, 0)

    def counted(value: str) -> tuple[Memory, Any]:
        plain = runs.asked(tmp_path / "run", tiny_llama).model_dump(exclude_unset=True, mode="json")
        run = runs.settled(validate(with_overrides(plain, settings(value)))).run
        both = memory.with_copies(form, run)
        how = {"width": 4, "tokens": 8, "activation_bytes": both.kept[0], "parts": memory.Parts()}
        # What is free on the disk changes while other programs run.
        return memory.memory(both, run, **how), replace(memory.disk(form, run), free=0)

    (head, disk), (own, larger) = counted("head"), counted("own")
    for name in ("weights", "gradients", "optimizer", "activations"):
        assert getattr(own, name) == 2 * getattr(head, name) > 0
    assert (own.logits, own.overhead) == (head.logits, head.overhead)
    # The trained weights with their moments twice; what is saved as the model is the policy.
    assert larger.checkpoint - disk.checkpoint == 700 * 12
    assert counted("joint") == (head, disk)
