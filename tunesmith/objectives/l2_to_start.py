"""Any objective of a model that writes, held to the weights that it began with (L2-SP, Li et al.
2018, eq. 2): a step adds weight · ½ Σ (θ − θ₀)² to its mean loss, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from tunesmith.batches.batch import Batch, Loss
from tunesmith.examples import Chat
from tunesmith.objectives import OBJECTIVES, Objective
from tunesmith.objectives._wrapped import Wrapped, with_distance
from tunesmith.settings.family import choice
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from tunesmith.models.calling.loss_models import Models


@OBJECTIVES.register
class L2ToStart(Wrapped, Objective):
    """L2 to the start: learns by another objective, and no weight goes far from where it began."""

    eats, unit, roles = Chat, "token", frozenset({"start"})
    adds = roles
    of: Objective
    config: Config

    class Config(Spec):
        """Another objective, and how strongly the weights are held."""

        of: choice(OBJECTIVES, "sft") = "sft"  # type: ignore[valid-type]
        """The objective that is learned, with its settings: ``of: {name: dpo, beta: 0.2}``."""
        weight: Annotated[float, Gt(0)] = 0.01
        """Weight of half the squared distance of all weights to the start; of a LoRA that of the
        product s B A. The record's ``distance`` says what it comes to."""

        model_config = Spec.model_config | {"validate_default": True}

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Adds the weighted distance, reported as ``distance``, to the inner loss, reported as
        ``loss``.
        """
        inner = self.of.loss(models, batch)
        return with_distance(inner, models["start"], self.config.weight, batch)
