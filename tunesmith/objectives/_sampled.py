"""What objectives share that learn from sampled answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.batches.batch import Batch, Tokens
from tunesmith.batches.rollout import by_sequence
from tunesmith.examples import Chat, Example, question_of

if TYPE_CHECKING:
    import torch

    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import LossModel, Models
    from tunesmith.models.loading.load import Loaded

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


def looked_up(
    policy: Loaded,
    models: Models,
    examples: Sequence[Sequence[Tokens]],
    temperature: float,
    *,
    wanted: Sequence[str],
) -> list[dict[str, list[np.ndarray]]]:
    """Computes for each example, by name in ``wanted``, a value for each token of each of its
    answers: ``old``, the log-probabilities of the current policy, and ``reference``, those of the
    base.
    """
    import torch

    from tunesmith.models.calling.forwards import batches
    from tunesmith.models.calling.temperature import at_temperature
    from tunesmith.models.calling.views import see

    found: list[dict[str, list[np.ndarray]]] = [{} for _ in examples]
    policy.model.eval()
    for part, batch in batches(policy, examples, budget=BUDGET):
        with torch.no_grad():
            seen = {}
            if "old" in wanted:
                seen["old"] = see_at(policy.model, batch, temperature)
            if "reference" in wanted:
                base = at_temperature(see(models["base"], batch), temperature)
                seen["reference"] = base.logprobs_N
        for name, values_N in seen.items():
            values = iter(by_sequence(values_N.float().cpu().numpy(), batch))
            for place in part:
                found[place][name] = [next(values) for _ in examples[place]]
    return found
