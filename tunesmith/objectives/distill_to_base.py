"""Any objective of a model that writes, held to what the base said: learning without forgetting (Li
& Hoiem 2017, eq. 2 and 3).

A sequence adds weight × units × the mean over its scored tokens of T² KL(base ‖ policy), so that a
weight means the same beside a loss per token and beside one per pair. Li & Hoiem use the weight 1
and T = 2; T² keeps the gradient's size (Hinton et al. 2015, section 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from tunesmith.batches.batch import Batch, Loss, Ratio
from tunesmith.examples import Chat
from tunesmith.objectives import OBJECTIVES, Objective
from tunesmith.objectives._wrapped import Wrapped
from tunesmith.settings.family import choice
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch

    from tunesmith.models.calling.loss_models import Models


@OBJECTIVES.register
class DistillToBase(Wrapped, Objective):
    """Distillation to the base: learns by another objective and stays close to the untouched base
    in what it says.
    """

    eats, unit, roles = Chat, "token", frozenset({"base"})
    adds = roles
    of: Objective
    config: Config

    class Config(Spec):
        """Another objective, and how far from the base the model may go."""

        of: choice(OBJECTIVES, "sft") = "sft"  # type: ignore[valid-type]
        """The objective that is learned, with its settings: ``of: {name: dpo, beta: 0.2}``."""
        weight: Annotated[float, Gt(0)] = 1.0
        """Weight of the distance to the base; 0.1 forgets a little, 10 learns slowly."""
        temperature: Annotated[float, Gt(0)] = 1.0
        """Both distributions are flattened by this; above 1 unlikely tokens count more."""

        model_config = Spec.model_config | {"validate_default": True}

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Adds the weighted distance, reported as ``kl_to_base`` (nats, T² included), to the inner
        loss, reported as ``loss``; one forward of the policy serves both.
        """
        import torch

        from tunesmith.models.calling.views import one_forward, see

        with one_forward():
            inner = self.of.loss(models, batch)
            seen = see(models["policy"], batch)
        shares_N = _shares(batch)

        def apart(
            logits_nV: torch.Tensor, base_nV: torch.Tensor | None, chunk: slice
        ) -> torch.Tensor:
            assert base_nV is not None, "the base sees the same batch"
            heat = self.config.temperature
            p_nV = torch.log_softmax(base_nV.float() / heat, -1)
            q_nV = torch.log_softmax(logits_nV / heat, -1)
            return heat**2 * (shares_N[chunk] * (p_nV.exp() * (p_nV - q_nV)).sum(-1)).sum()

        with torch.no_grad():
            base = see(models["base"], batch)
        distance = seen.over_logits(apart, other=base)
        metrics = {"kl_to_base": Ratio(distance.detach(), batch.units)}
        return Loss(inner.total + self.config.weight * distance, inner.metrics | metrics)


def _shares(batch: Batch) -> torch.Tensor:
    """Returns [N] each scored token's share of its sequence's units."""
    whole_B = batch.units_B.new_zeros(len(batch.units_B))
    whole_B = whole_B.index_add(0, batch.owner_N, batch.weights_N)
    each_B = batch.units_B / whole_B.clamp(min=1e-12)
    return batch.weights_N * each_B.index_select(0, batch.owner_N)
