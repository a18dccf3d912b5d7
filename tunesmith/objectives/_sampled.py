"""What objectives share that learn from sampled answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from tunesmith.batches.batch import Batch, Tokens
from tunesmith.batches.rollout import Group, by_sequence
from tunesmith.examples import Chat, Example, question_of

if TYPE_CHECKING:
    import torch

    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import LossModel, Models
    from tunesmith.models.loading.load import Loaded

Overlong = Literal["kept", "masked", "punished"]
BUDGET = 4096
"""Tokens of one forward without gradient."""


def encode_prompt(example: Example, render: Render) -> list[Tokens]:
    """Encodes the prompt, in which nothing is scored; the columns ``row`` and ``turns`` hold what
    rewards may look at.
    """
    assert isinstance(example, Chat)
    ids_T = render.prompt(example)
    row = {"question": question_of(example.prompt), **example.columns}
    if example.answer:
        row["answer"] = example.answer
    turns = [{"role": turn.role, "content": turn.content} for turn in example.prompt.turns]
    return [Tokens(ids_T, np.zeros(len(ids_T), np.float32), {"row": row, "turns": turns})]


def see_at(model: LossModel, batch: Batch, temperature: float) -> torch.Tensor:
    """Returns the log-probabilities [N] of the scored tokens under the distribution that is sampled
    from.
    """
    from tunesmith.models.calling.temperature import at_temperature
    from tunesmith.models.calling.views import see

    return at_temperature(see(model, batch), temperature).logprobs_N


def still(model: torch.nn.Module) -> None:
    """Turns dropout off for the training too: with it the ratio of one model to itself would not
    be 1, and their distance not 0. Gradient checkpointing, which asks for training mode, keeps it.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    model.eval()
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer) and module.gradient_checkpointing:
            module.training = True


def weigh_overlong(
    groups: Sequence[Group], kind: Overlong, *, most: int, margin: int | None
) -> None:
    """Leaves cut answers out (masked), or takes reward off answers near the limit of ``most``
    tokens (punished).
    """
    for group in groups:
        if kind == "punished":
            group.rewards_G = group.rewards_G + punishment(group, most, margin or max(1, most // 5))
        if kind == "masked":
            cut_G = [not answer.stopped for answer in group.answers]
            group.rewards_G = np.where(cut_G, np.nan, group.rewards_G)


def punishment(group: Group, most: int, margin: int) -> np.ndarray:
    """Returns [G] 0 up to ``margin`` tokens before the limit, then falling to -1 (Yu et al. 2025,
    eq. 13).
    """
    over_G = [most - margin - len(answer.ids_T) for answer in group.answers]
    # An answer that is cut is at the limit, and another token would have been beyond it.
    cut_G = [not answer.stopped for answer in group.answers]
    return np.where(cut_G, -1.0, np.clip(np.array(over_G) / margin, -1, 0))


def clipped_losses(
    ratio_N: torch.Tensor, advantage_N: torch.Tensor, *, low: float, high: float, cap: float
) -> torch.Tensor:
    """Computes [N] PPO's clipped loss (Schulman et al. 2017, eq. 7); with a finite ``cap`` also for
    worse answers whose ratio rose (Ye et al. 2020, eq. 5).
    """
    import torch

    clipped_N = ratio_N.clamp(1 - low, 1 + high)
    return -torch.minimum(ratio_N.clamp(max=cap) * advantage_N, clipped_N * advantage_N)


def stopped_by_clip(
    ratio_N: torch.Tensor, advantage_N: torch.Tensor, *, low: float, high: float, cap: float
) -> torch.Tensor:
    """Marks [N] the tokens that an update no longer moves."""
    worse_N = advantage_N < 0
    return (
        (ratio_N > 1 + high) & (advantage_N > 0)
        | (ratio_N < 1 - low) & worse_N
        | (ratio_N > cap) & worse_N
    )


def looked_up(
    policy: Loaded,
    models: Models,
    examples: Sequence[Sequence[Tokens]],
    temperature: float,
    *,
    wanted: Sequence[str],
) -> list[dict[str, list[np.ndarray]]]:
    """Computes for each example, by name in ``wanted``, a value for each token of each of its
    answers: ``old``, the log-probabilities of the current policy, ``value``, what the value head
    says, and ``reference``, the log-probabilities of the base.
    """
    import torch

    from tunesmith.models.calling.forwards import batches
    from tunesmith.models.calling.loss_models import value_of
    from tunesmith.models.calling.temperature import at_temperature
    from tunesmith.models.calling.views import one_forward, see

    by_example: list[dict[str, list[np.ndarray]]] = [{} for _ in examples]
    policy.model.eval()
    for part, batch in batches(policy, examples, budget=BUDGET):
        with torch.no_grad(), one_forward():
            seen = {}
            if "old" in wanted:
                seen["old"] = see_at(policy.model, batch, temperature)
            if "value" in wanted:
                seen["value"] = value_of(models).of(see(policy.model, batch), batch)
            if "reference" in wanted:
                base = at_temperature(see(models["base"], batch), temperature)
                seen["reference"] = base.logprobs_N
        for name, values_N in seen.items():
            values = iter(by_sequence(values_N.float().cpu().numpy(), batch))
            for index in part:
                by_example[index][name] = [next(values) for _ in examples[index]]
    return by_example
