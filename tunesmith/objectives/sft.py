"""Supervised fine-tuning: the negative log-likelihood of the trained turns, summed over their
tokens.

Label smoothing is that of Szegedy et al. 2016 (section 7), the noise that of NEFTune (Jain et al.
2023, algorithm 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from tunesmith.batches.batch import Batch, Loss, Tokens
from tunesmith.examples import Chat, Example
from tunesmith.objectives import OBJECTIVES, Objective
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models


@OBJECTIVES.register
class Sft(Objective):
    """Supervised fine-tuning: learns to give the answers of the conversations."""

    eats, unit, two_sided = Chat, "token", True
    likelihood = True

    class Config(Spec):
        """What is done in training against learning the answers by heart; what is measured is
        always the plain likelihood.
        """

        label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0
        """Share of each target that is spread over the whole vocabulary; 0 is none, 0.1 is usual
        for translation.
        """
        neftune: Annotated[float, Ge(0)] = 0.0
        """Size of the noise on the embedded tokens (NEFTune's alpha); 0 is none, its authors used 5
        to 15.
        """

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Renders the conversation; what is trained is marked by its weights."""
        assert isinstance(example, Chat)
        return render.chat(example)

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Computes ``-sum(w log p)`` over the scored tokens, in training with smoothing and noise
        where these are set.
        """
        from tunesmith.models.calling.loss_models import policy_of
        from tunesmith.models.calling.noise import noisy
        from tunesmith.models.calling.views import token_loss

        model = policy_of(models)
        if not model.training:
            return token_loss(model, batch)
        with noisy(model, batch, self.config.neftune):
            return token_loss(model, batch, smoothing=self.config.label_smoothing)
