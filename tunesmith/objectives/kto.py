"""Kahneman–Tversky optimisation (Ethayarajh et al. 2024, eq. 7 and 8): answers judged one by one,
around a reference point.

The reference point z0 is the KL divergence from the reference, estimated over the whole step from
answers that belong to other prompts (section 4.1), never below 0, and without gradient. Each row is
paired with the next row's answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Gt

from tunesmith.batches.batch import Batch, Loss, Ratio, Tokens
from tunesmith.examples import Example, Feedback
from tunesmith.objectives import OBJECTIVES, Objective, Ranks
from tunesmith.objectives._pairs import RATE_FACTOR, answer_logprobs, over_sequences
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models


@OBJECTIVES.register
class Kto(Objective):
    """Kahneman-Tversky optimization: learns from single answers that are desirable or not, held to
    the base by beta.
    """

    eats, unit, roles = Feedback, "example", frozenset({"reference"})
    measures, rate_factor = {"accuracy": True}, RATE_FACTOR

    class Config(Spec):
        """Single answers with a label."""

        beta: Annotated[float, Gt(0)] = 0.1
        """Strength of the pull towards the base; higher stays closer."""
        loss: Literal["kto", "apo_zero_unpaired"] = "kto"
        """The point from which answers are measured: kto takes z0; apo_zero_unpaired takes 0, which
        needs no answers of other prompts.
        """
        desirable_weight: Annotated[float, Gt(0)] = 1.0
        """Weight of desirable answers; with many fewer of them, raise it until the two kinds weigh
        about the same.
        """
        undesirable_weight: Annotated[float, Gt(0)] = 1.0
        """Weight of undesirable answers."""

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Encodes the answer after its prompt."""
        assert isinstance(example, Feedback)
        return render.feedback(example)

    def across(self, rows: list[tuple[Tokens, ...]]) -> list[tuple[Tokens, ...]]:
        """Adds to each row its prompt with the answer of the next row, as the column
        ``mismatched``.
        """
        if self.config.loss != "kto":
            return rows
        sequences = [row[0] for row in rows]
        longest = max(map(len, sequences), default=0)
        mates = [
            _after(sequence, other, longest)
            for sequence, other in zip(sequences, [*sequences[1:], *sequences[:1]], strict=True)
        ]
        return [
            (replace(sequence, columns={**sequence.columns, "mismatched": mate}),)
            for sequence, mate in zip(sequences, mates, strict=True)
        ]

    def prepare(self, models: Models, step: list[Batch], over_ranks: Ranks) -> None:
        """Computes z0 from the mismatched answers of all rows of the step, on all ranks."""
        import torch

        from tunesmith.models.calling.loss_models import policy_of
        from tunesmith.models.calling.views import see

        policy = policy_of(models)
        total = 0.0
        count = 0.0
        training = policy.training
        policy.eval()
        with torch.no_grad():
            for batch in step if self.config.loss == "kto" else ():
                mates = Batch.grow([[mate] for mate in batch.columns["mismatched_B"]])
                mates = (mates if batch.layout.forest else mates.padded()).to(batch.ids_T.device)
                ratios_B = answer_logprobs(see(policy, mates)) - mates.columns["reference_B"]
                if not batch.idle:
                    total, count = total + ratios_B.sum(), count + len(ratios_B)
        policy.train(training)
        if over_ranks.several:
            total, count = over_ranks.sum(float(total), count)
        for batch in step:
            # A product, not a comparison in Python, for which the device would be waited for.
            batch.columns["kl"] = (total / count) * (total > 0) if count else 0.0

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Sums weight (1 - sigmoid(beta (log-ratio - z0))), with the opposite sign for an
        undesirable answer.
        """
        from tunesmith.models.calling.views import see

        config = self.config
        kl = batch.columns["kl"]
        good_B = batch.columns["desirable_B"].bool()
        ratios_B = answer_logprobs(see(models["policy"], batch)) - batch.columns["reference_B"]
        signs_B = good_B.float() * 2 - 1
        weights_B = good_B * config.desirable_weight + ~good_B * config.undesirable_weight
        total = (weights_B * (1 - (config.beta * signs_B * (ratios_B - kl)).sigmoid())).sum()
        rewards_B = config.beta * ratios_B.detach()
        lengths_B = over_sequences(batch.weights_N, batch)
        right = (signs_B * (ratios_B.detach() - kl) > 0).sum()
        count = float(len(good_B))
        metrics = {"loss": Ratio(total.detach(), count), "accuracy": Ratio(right, count)}
        metrics |= {"kl": Ratio(kl * count, count)} if config.loss == "kto" else {}
        # Counted here and not in the tensor, for which the device would be waited for.
        good = sum(bool(tokens.columns["desirable"]) for row in batch.sequences for tokens in row)
        for name, kind_B, number in (
            ("chosen", good_B, good),
            ("rejected", ~good_B, len(good_B) - good),
        ):
            if number:
                metrics[f"rewards/{name}"] = Ratio((rewards_B * kind_B).sum(), number)
                metrics[f"length/{name}"] = Ratio((lengths_B * kind_B).sum(), number)
        return Loss(total, metrics)


def _after(one: Tokens, other: Tokens, longest: int) -> Tokens:
    """Joins the prompt of ``one`` and the answer of ``other``; cuts the prompt's beginning where
    the two are longer than any row.
    """
    starts = [int(np.argmax(tokens.weights_T != 0)) for tokens in (one, other)]
    answer_T = other.ids_T[starts[1] :]
    prompt_T = one.ids_T[max(0, starts[0] + len(answer_T) - longest) : starts[0]]
    weights_T = np.r_[np.zeros(len(prompt_T), np.float32), other.weights_T[starts[1] :]]
    return Tokens(np.r_[prompt_T, answer_T], weights_T)
