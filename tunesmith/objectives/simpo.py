"""SimPO (Meng et al. 2024, eq. 6): the average log-probability as the reward, with a margin, and no
reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Lt

from tunesmith.batches.batch import Batch, Loss, Tokens
from tunesmith.examples import Example, Preference
from tunesmith.objectives import OBJECTIVES, Objective
from tunesmith.objectives._pairs import RATE_FACTOR, WATCHED, encode_pair, see_pairs, smoothed
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models


@OBJECTIVES.register
class Simpo(Objective):
    """Simple preference optimization: learns to find the chosen answer likelier per token than the
    rejected one, by a margin; needs no reference.
    """

    eats, unit = Preference, "example"
    measures, rate_factor = WATCHED, RATE_FACTOR

    class Config(Spec):
        """Preference pairs by length-normalised likelihood."""

        beta: Annotated[float, Gt(0)] = 2.0
        """Scale of the reward; the paper searches from 2.0 on."""
        gamma: Annotated[float, Ge(0)] = 1.0
        """The margin by which the chosen answer's reward should be ahead; about half of beta."""
        label_smoothing: Annotated[float, Ge(0), Lt(0.5)] = 0.0
        """Share of pairs that are taken to be labelled the wrong way round."""
        sft: Annotated[float, Ge(0)] = 0.0
        """Weight of the chosen answer's own loss per token (CPO-SimPO); without a reference it is
        all that holds the model.
        """

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Encodes both sides after their common prompt."""
        return encode_pair(example, render)

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Computes -log sigmoid(beta (average of chosen - average of rejected) - gamma)."""
        config = self.config
        pairs = see_pairs(models, batch)
        rewards_P2 = config.beta * pairs.averages_P2
        losses_P = smoothed(
            rewards_P2[:, 0] - rewards_P2[:, 1] - config.gamma, config.label_smoothing
        )
        return pairs.loss(losses_P + config.sft * pairs.nll_P, rewards_P2)
