"""Supervised fine-tuning: the negative log-likelihood of the trained turns, summed over their tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.batch import Batch, Loss, Tokens
from tunesmith.examples import Chat, Example
from tunesmith.objectives import OBJECTIVES, Objective

if TYPE_CHECKING:
    from tunesmith.data.render import Render


@OBJECTIVES.register
class Sft(Objective):
    """Learns to give the answers of the conversations."""

    eats, unit, two_sided = Chat, "token", True

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """The rendered conversation; what is trained is marked by its weights."""
        assert isinstance(example, Chat)
        return render.chat(example)

    def loss(self, models: dict[str, Any], batch: Batch) -> Loss:
        """``-sum(w log p)`` over the scored tokens."""
        from tunesmith.models.views import token_loss

        return token_loss(models["policy"], batch)
