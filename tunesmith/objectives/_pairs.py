"""What the objectives over answers share: an answer's log-probability, the two sides of a pair, and
what people watch.

Suffixes: P pairs, of which column 0 is chosen and 1 rejected; B sequences; N scored tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.batches.batch import Batch, Loss, Ratio, Tokens
from tunesmith.examples import Example, Preference

if TYPE_CHECKING:
    import torch

    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import LossModel, Models
    from tunesmith.models.calling.views import Seen

RATE_FACTOR = 0.05
"""TRL 1.16's default learning rate for preferences over that for SFT: 1e-6 to 2e-5."""
TIE = 1e-4
"""Rewards closer than this are equal: fp32 sums of some hundred log-probabilities differ by a tenth
of it.
"""
WATCHED = {"accuracy": True, "margin": True}


@dataclass
class Pairs:
    """P pairs as the policy sees them: summed log-probabilities (nats) with gradient, and lengths
    in tokens.
    """

    logprobs_P2: torch.Tensor
    lengths_P2: torch.Tensor
    reference_P2: torch.Tensor | None
    metrics: dict[str, Ratio]

    @property
    def averages_P2(self) -> torch.Tensor:
        """Log-probability per token."""
        return self.logprobs_P2 / self.lengths_P2

    @property
    def ratios_P2(self) -> torch.Tensor:
        """log p(y|x) - log p_ref(y|x)."""
        assert self.reference_P2 is not None, "the rows bring the reference's log-probabilities"
        return self.logprobs_P2 - self.reference_P2

    @property
    def nll_P(self) -> torch.Tensor:
        """Negative log-likelihood of the chosen answer per token, as ORPO's equation 2 averages it
        over each answer.
        """
        return -self.averages_P2[:, 0]

    def loss(self, losses_P: torch.Tensor, rewards_P2: torch.Tensor) -> Loss:
        """Sums ``losses_P``, with the metrics that follow from the implicit rewards."""
        count, (chosen_P, rejected_P) = float(len(losses_P)), rewards_P2.detach().unbind(1)
        total = losses_P.sum()

        def mean(values_P: torch.Tensor) -> Ratio:
            return Ratio(values_P.sum(), count)

        return Loss(
            total,
            {
                "loss": Ratio(total.detach(), count),
                "rewards/chosen": mean(chosen_P),
                "rewards/rejected": mean(rejected_P),
                "margin": mean(chosen_P - rejected_P),
                "accuracy": mean(_first_is_higher(chosen_P, rejected_P)),
                "length/chosen": mean(self.lengths_P2[:, 0]),
                "length/rejected": mean(self.lengths_P2[:, 1]),
                **self.metrics,
            },
        )


def _first_is_higher(one_P: torch.Tensor, other_P: torch.Tensor) -> torch.Tensor:
    """Compares two rewards: 1, 0, or a half where only rounding separates them, as before the first
    step.
    """
    import torch

    higher_P = (one_P > other_P).float()
    return torch.where((one_P - other_P).abs() <= TIE, 0.5, higher_P)


def encode_pair(example: Example, render: Render) -> list[Tokens]:
    """Encodes the two sides of a pair after their common prompt."""
    assert isinstance(example, Preference)
    return render.preference(example)


def see_pairs(models: Models, batch: Batch) -> Pairs:
    """Runs one forward of the policy over the pairs of ``batch``; its head runs on the answers
    alone.
    """
    import torch

    from tunesmith.models.calling.views import see

    seen = see(models["policy"], batch)
    reference_B = batch.columns.get("reference_B")
    lengths_B = over_sequences(batch.weights_N, batch)
    return Pairs(
        by_side(answer_logprobs(seen), batch),
        by_side(lengths_B, batch).clamp(min=1),
        None if reference_B is None else by_side(reference_B.to(torch.float32), batch),
        {"kl": divergence(seen, models["reference"])} if "reference" in models else {},
    )


def by_side(values_B: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Sums the values of sequences over each side of each pair [P, 2]."""
    side_B = 2 * batch.example_B + batch.columns["side_B"]
    sums = values_B.new_zeros(2 * len(batch.sequences))
    return sums.index_add(0, side_B, values_B).view(-1, 2)


def answer_logprobs(seen: Seen) -> torch.Tensor:
    """Returns the log-probability [B] of the scored tokens of each sequence, with gradient."""
    return over_sequences(seen.batch.weights_N * seen.logprobs_N, seen.batch)


def over_sequences(values_N: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Sums the values of scored tokens over each sequence [B]."""
    return values_N.new_zeros(len(batch.ends_B)).index_add(0, batch.owner_N, values_N)


def divergence(seen: Seen, reference: LossModel) -> Ratio:
    """Computes KL(policy || reference) over the vocabulary, summed over the positions of the
    answers' tokens, and their number.
    """
    import torch

    from tunesmith.models.calling.views import see

    def kl(logits_nV: torch.Tensor, other_nV: torch.Tensor | None, _: slice) -> torch.Tensor:
        assert other_nV is not None, "the reference sees the same batch"
        ours_nV = torch.log_softmax(logits_nV, -1)
        theirs_nV = torch.log_softmax(other_nV, -1)
        return (ours_nV.exp() * (ours_nV - theirs_nV)).sum()

    with torch.no_grad():
        return Ratio(
            seen.over_logits(kl, other=see(reference, seen.batch)), float(len(seen.batch.scored_N))
        )


def smoothed(margins_P: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Computes -log sigmoid of the margins, where a share ``smoothing`` of the labels is taken to
    be swapped.
    """
    from torch.nn.functional import logsigmoid

    return -(1 - smoothing) * logsigmoid(margins_P) - smoothing * logsigmoid(-margins_P)
