"""Continued pre-training: the negative log-likelihood of every token of plain text; documents never
see each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.batches.batch import Batch, Loss, Tokens
from tunesmith.examples import Example, Text
from tunesmith.objectives import OBJECTIVES, Objective

if TYPE_CHECKING:
    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models


@OBJECTIVES.register
class Pretrain(Objective):
    """Pretraining: learns the text itself."""

    eats, unit = Text, "token"
    likelihood = True

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Encodes the document with its end token, cut into windows where it is too long."""
        assert isinstance(example, Text)
        return render.text(example)

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Computes ``-sum(w log p)`` over the scored tokens."""
        from tunesmith.models.calling.views import token_loss

        return token_loss(models["policy"], batch)
