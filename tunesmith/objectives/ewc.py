"""Any objective of a model that writes, with the weights held that earlier rows need: elastic
weight consolidation (Kirkpatrick et al. 2017, eq. 3), and over several runs its online form
(Schwarz et al. 2018, eq. 9). A step adds weight · ½ Σ F (θ − θ₀)² to its mean loss, once.

F is the diagonal Fisher information, which ``training/fisher.py`` measures at the start. Of a LoRA
it is that of the base's weights, and θ − θ₀ is the product s B A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le

from tunesmith.batches.batch import Batch, Loss
from tunesmith.examples import Chat
from tunesmith.objectives import OBJECTIVES, Objective
from tunesmith.objectives._wrapped import Wrapped, with_distance
from tunesmith.settings.family import choice
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from tunesmith.models.calling.loss_models import Models

Labels = Literal["drawn", "data"]


@OBJECTIVES.register
class Ewc(Wrapped, Objective):
    """Elastic weight consolidation: learns by another objective, and the weights that earlier rows
    need stay where they are.
    """

    eats, unit, roles = Chat, "token", frozenset({"fisher"})
    adds = roles
    of: Objective
    config: Config

    class Config(Spec):
        """Another objective, what is to be kept, and how strongly."""

        of: choice(OBJECTIVES, "sft") = "sft"  # type: ignore[valid-type]
        """The objective that is learned, with its settings: ``of: {name: dpo, beta: 0.2}``."""
        rows: str | None = None
        """Rows of what is to be kept: a data file, or the folder of a run, of which the training
        rows are taken; those of the run that ``model`` names where it is not given."""
        examples: Annotated[int, Gt(0)] = 200
        """At most this many of these rows are measured, one backward each."""
        labels: Labels = "drawn"
        """Whose answers are measured: drawn from the model, which is the Fisher information, or
        those of the rows (the empirical one)."""
        weight: Annotated[float, Gt(0)] = 1.0
        """Weight of the term, Kirkpatrick's lambda; the record's ``distance`` says what it comes
        to beside the loss."""
        gamma: Annotated[float, Ge(0), Le(1)] = 1.0
        """How much counts what the run before was held by (online EWC); 0 forgets it, 1 adds it
        whole."""

        model_config = Spec.model_config | {"validate_default": True}

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Adds the weighted distance, reported as ``distance``, to the inner loss, reported as
        ``loss``.
        """
        inner = self.of.loss(models, batch)
        return with_distance(inner, models["fisher"], self.config.weight, batch)
