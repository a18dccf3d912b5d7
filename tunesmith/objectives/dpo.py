"""Direct preference optimisation (Rafailov et al. 2023, eq. 7) and the losses that others put in
its place.

With c and r the log-ratios log p/p_ref of the chosen and the rejected answer, and m = beta (c - r),
each loss is a sum over pairs. The names are TRL's; its aot losses, which sort a whole batch, are no
such sum and are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Lt

from tunesmith.batches.batch import Batch, Loss, Tokens
from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Example, Preference
from tunesmith.objectives import OBJECTIVES, Objective
from tunesmith.objectives._pairs import RATE_FACTOR, WATCHED, encode_pair, see_pairs, smoothed
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models

Name = Literal[
    "sigmoid",
    "hinge",
    "ipo",
    "robust",
    "exo_pair",
    "nca_pair",
    "bco_pair",
    "sppo_hard",
    "apo_zero",
    "apo_down",
    "discopop",
]
SMOOTHED = ("sigmoid", "robust", "exo_pair")
TAU = 0.05
"""DiscoPOP's temperature (Lu et al. 2024, eq. 5)."""


@OBJECTIVES.register
class Dpo(Objective):
    """Direct preference optimization: learns to prefer the chosen answer of a pair to the rejected
    one, held to the base by beta.
    """

    eats, unit, roles = Preference, "example", frozenset({"reference"})
    measures, rate_factor = WATCHED, RATE_FACTOR

    class Config(Spec):
        """Preference pairs against a reference."""

        beta: Annotated[float, Gt(0)] = 0.1
        """Strength of the pull towards the base; higher stays closer."""
        loss: Name = "sigmoid"
        """The loss of a pair: DPO's own, or hinge, ipo, robust, exo_pair, nca_pair, bco_pair,
        sppo_hard, apo_zero, apo_down, discopop."""
        label_smoothing: Annotated[float, Ge(0), Lt(0.5)] = 0.0
        """Share of pairs that are taken to be labelled the wrong way round; of sigmoid, robust and
        exo_pair.
        """
        length_normalized: bool = False
        """Whether log-ratios are averaged over an answer's tokens, so that length does not pay; ipo
        always averages.
        """
        sft: Annotated[float, Ge(0)] = 0.0
        """Weight of the chosen answer's own loss per token, which keeps it likely (0.1 to 1 where
        its reward falls).
        """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        smoothing = config.label_smoothing
        if smoothing and config.loss not in SMOOTHED:
            text = say("preference.no_smoothing", loss=config.loss, known=", ".join(SMOOTHED))
            raise SpecError(Problem("objective.label_smoothing", text))
        if config.loss == "exo_pair" and not smoothing:
            raise SpecError(Problem("objective.label_smoothing", say("preference.needs_smoothing")))

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Encodes both sides after their common prompt."""
        return encode_pair(example, render)

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Computes the loss of each pair of the kind that is set, and adds the sft term."""
        config = self.config
        pairs = see_pairs(models, batch)
        ratios_P2 = pairs.ratios_P2
        averaged = config.length_normalized or config.loss == "ipo"
        chosen_P, rejected_P = (ratios_P2 / pairs.lengths_P2 if averaged else ratios_P2).unbind(1)
        losses_P = LOSSES[config.loss](chosen_P, rejected_P, config)
        if config.sft:
            losses_P = losses_P + config.sft * pairs.nll_P
        return pairs.loss(losses_P, config.beta * ratios_P2)


def _sigmoid(c: torch.Tensor, r: torch.Tensor, config: Dpo.Config) -> torch.Tensor:
    """Computes Rafailov et al. 2023, eq. 7; with label smoothing the conservative form of Mitchell
    2023, eq. 3.
    """
    return smoothed(config.beta * (c - r), config.label_smoothing)


def _hinge(c: torch.Tensor, r: torch.Tensor, config: Dpo.Config) -> torch.Tensor:
    """Computes SLiC's hinge (Zhao et al. 2023) on DPO's margin, as RSO has it (Liu et al. 2024)."""
    return (1 - config.beta * (c - r)).relu()


def _ipo(c: torch.Tensor, r: torch.Tensor, config: Dpo.Config) -> torch.Tensor:
    """Computes Azar et al. 2023, eq. 17, on log-ratios per token, which is the form behind their
    results, as its authors told those of TRL.
    """
    return (c - r - 1 / (2 * config.beta)) ** 2


def _robust(c: torch.Tensor, r: torch.Tensor, config: Dpo.Config) -> torch.Tensor:
    """Computes Chowdhury et al. 2024: unbiased where a known share of the labels is swapped."""
    from torch.nn.functional import logsigmoid

    m = config.beta * (c - r)
    swapped = config.label_smoothing
    return (-(1 - swapped) * logsigmoid(m) + swapped * logsigmoid(-m)) / (1 - 2 * swapped)


def _exo_pair(c: torch.Tensor, r: torch.Tensor, config: Dpo.Config) -> torch.Tensor:
    """Computes Ji et al. 2024, eq. 16: the reverse KL from the smoothed labels to the softmax over
    the pair.
    """
    import math

    from torch.nn.functional import logsigmoid

    m = config.beta * (c - r)
    swapped = config.label_smoothing
    better = logsigmoid(m)
    worse = logsigmoid(-m)
    return better.exp() * (better - math.log(1 - swapped)) + worse.exp() * (
        worse - math.log(swapped)
    )


def _nca_pair(c: torch.Tensor, r: torch.Tensor, config: Dpo.Config) -> torch.Tensor:
    """Computes Chen et al. 2024 (NCA), for pairs: it also keeps the chosen answer from getting less
    likely.
    """
    from torch.nn.functional import logsigmoid

    c, r = config.beta * c, config.beta * r
    return -logsigmoid(c) - 0.5 * logsigmoid(-c) - 0.5 * logsigmoid(-r)


def _bco_pair(c: torch.Tensor, r: torch.Tensor, config: Dpo.Config) -> torch.Tensor:
    """Computes Jung et al. 2024 (BCO) on pairs, without its running shift of the rewards, as in
    TRL.
    """
    from torch.nn.functional import logsigmoid

    return -logsigmoid(config.beta * c) - logsigmoid(-config.beta * r)


def _sppo_hard(c: torch.Tensor, r: torch.Tensor, config: Dpo.Config) -> torch.Tensor:
    """Computes Wu et al. 2024, eq. 4.7 with winning probabilities 1 and 0."""
    return (c - 0.5 / config.beta) ** 2 + (r + 0.5 / config.beta) ** 2


def _apo_zero(c: torch.Tensor, r: torch.Tensor, config: Dpo.Config) -> torch.Tensor:
    """Computes D'Oosterlinck et al. 2024, eq. 7: for chosen answers that are better than the
    model's own.
    """
    return 1 - (config.beta * c).sigmoid() + (config.beta * r).sigmoid()


def _apo_down(c: torch.Tensor, r: torch.Tensor, config: Dpo.Config) -> torch.Tensor:
    """Computes D'Oosterlinck et al. 2024, eq. 8: for chosen answers that are worse than the model's
    own.
    """
    return (config.beta * c).sigmoid() + 1 - (config.beta * (c - r)).sigmoid()


def _discopop(c: torch.Tensor, r: torch.Tensor, config: Dpo.Config) -> torch.Tensor:
    """Computes Lu et al. 2024, eq. 5: logistic and exponential loss, blended by the margin."""
    m = config.beta * (c - r)
    blend = (m / TAU).sigmoid()
    return smoothed(m, 0.0) * (1 - blend) + (-m).exp() * blend


LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor, Dpo.Config], torch.Tensor]] = {
    "sigmoid": _sigmoid,
    "hinge": _hinge,
    "ipo": _ipo,
    "robust": _robust,
    "exo_pair": _exo_pair,
    "nca_pair": _nca_pair,
    "bco_pair": _bco_pair,
    "sppo_hard": _sppo_hard,
    "apo_zero": _apo_zero,
    "apo_down": _apo_down,
    "discopop": _discopop,
}
