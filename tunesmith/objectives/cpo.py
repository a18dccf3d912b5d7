"""Contrastive preference optimisation (Xu et al. 2024, eq. 3 to 5): DPO with a uniform reference,
and an SFT term.

Departure: the SFT term is per token of each answer, as in TRL but for its pooling over a batch; the
    paper sums it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Lt

from tunesmith.batches.batch import Batch, Loss, Tokens
from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Example, Preference
from tunesmith.objectives import OBJECTIVES, Objective
from tunesmith.objectives._pairs import RATE_FACTOR, WATCHED, encode_pair, see_pairs
from tunesmith.objectives.dpo import LOSSES
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models


@OBJECTIVES.register
class Cpo(Objective):
    """Contrastive preference optimization: learns to find the chosen answer likelier than the
    rejected one, and the chosen one itself; needs no reference.
    """

    eats, unit = Preference, "example"
    measures, rate_factor = WATCHED, RATE_FACTOR

    class Config(Spec):
        """Preference pairs against a uniform reference."""

        beta: Annotated[float, Gt(0)] = 0.1
        """Scale of the log-probabilities that are compared."""
        loss: Literal["sigmoid", "hinge", "ipo"] = "sigmoid"
        """The loss of a pair, as in dpo; ipo compares averages over tokens."""
        label_smoothing: Annotated[float, Ge(0), Lt(0.5)] = 0.0
        """Share of pairs that are taken to be labelled the wrong way round; of sigmoid."""
        sft: Annotated[float, Ge(0)] = 1.0
        """Weight of the chosen answer's own loss per token."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.label_smoothing and config.loss != "sigmoid":
            text = say("preference.no_smoothing", loss=config.loss, known="sigmoid")
            raise SpecError(Problem("objective.label_smoothing", text))

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Encodes both sides after their common prompt."""
        return encode_pair(example, render)

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Computes DPO's losses with log-probabilities in place of the log-ratios."""
        config = self.config
        pairs = see_pairs(models, batch)
        scores_P2 = pairs.averages_P2 if config.loss == "ipo" else pairs.logprobs_P2
        losses_P = LOSSES[config.loss](scores_P2[:, 0], scores_P2[:, 1], config)
        return pairs.loss(losses_P + config.sft * pairs.nll_P, config.beta * scores_P2)
