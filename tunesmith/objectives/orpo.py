"""Odds ratio preference optimisation (Hong et al. 2024, eq. 4 to 7): SFT on the chosen answer and a
ratio of odds, no reference.

Departure from TRL 1.16: the SFT term averages over each answer's own tokens, as the paper does, and
leaves the prompt out; TRL pools the tokens of a batch, prompts included.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from tunesmith.batches.batch import Batch, Loss, Tokens
from tunesmith.examples import Example, Preference
from tunesmith.objectives import OBJECTIVES, Objective
from tunesmith.objectives._pairs import RATE_FACTOR, WATCHED, encode_pair, see_pairs, smoothed
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch

    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models


@OBJECTIVES.register
class Orpo(Objective):
    """Odds ratio preference optimization: learns the chosen answer, and that its odds are above
    those of the rejected one; needs no reference.
    """

    eats, unit = Preference, "example"
    measures, rate_factor = WATCHED, RATE_FACTOR

    class Config(Spec):
        """Preference pairs with an SFT term."""

        beta: Annotated[float, Ge(0)] = 0.1
        """Weight of the odds ratio beside the SFT loss (the paper's lambda)."""

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Encodes both sides after their common prompt."""
        return encode_pair(example, render)

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Computes -log p(chosen) per token - beta log sigmoid(log odds ratio)."""
        pairs = see_pairs(models, batch)
        beta = self.config.beta
        averages_P2 = pairs.averages_P2
        chosen_P, rejected_P = (averages_P2 - log1mexp(averages_P2)).unbind(1)
        return pairs.loss(
            pairs.nll_P + beta * smoothed(chosen_P - rejected_P, 0.0), beta * averages_P2
        )


def log1mexp(x: torch.Tensor) -> torch.Tensor:
    """Computes log(1 - e^x) for x < 0 without loss of digits (Mächler 2012, eq. 7); x is kept off
    0, where it is minus infinity.
    """
    import torch

    # About the distance of 1 to its neighbour in fp32: nearer to 0 the digits are rounding alone.
    x = x.clamp(max=-1e-7)
    near = x > -math.log(2)
    # Each branch sees harmless values where the other is taken: the gradient of a value not taken
    # would still be NaN.
    small = torch.where(near, x, -1.0)
    large = torch.where(near, -1.0, x)
    return torch.where(near, torch.log(-torch.expm1(small)), torch.log1p(-torch.exp(large)))
