"""A reward model from preference pairs (Ouyang et al. 2022, eq. 1): a score for an answer, higher
for the better one of two.

Bradley and Terry 1952: P(chosen beats rejected) = sigmoid(r_c - r_r). A margin that the rows bring
is asked for on top (Touvron et al. 2023, eq. 2). Only differences of scores are learned; the
centring term (Eisenstein et al. 2023, eq. 2) keeps them near 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from tunesmith.batches.batch import Batch, Loss, Ratio, Tokens
from tunesmith.examples import Chat, Example, Outputs, Preference
from tunesmith.objectives import OBJECTIVES, Objective
from tunesmith.objectives._pairs import WATCHED, by_side
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch

    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models


@OBJECTIVES.register
class Reward(Objective):
    """Reward modelling: learns to score answers, so that the chosen one of a pair scores higher."""

    eats, unit, head, gives = Preference, "example", "classes", "scores"
    measures = WATCHED
    outputs = Outputs(("LABEL_0",), "regression")
    """One number, under the name that transformers and TRL give it, so that the head of a finished
    reward model is kept.
    """

    class Config(Spec):
        """Preference pairs to scores."""

        centering: Annotated[float, Ge(0)] = 0.01
        """Weight of (r_chosen + r_rejected) squared, which keeps scores near 0; 0.01 is what TRL
        recommends, 0 leaves it out.
        """

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Encodes the two conversations, each to the end of its answer."""
        assert isinstance(example, Preference)
        more = {"margin": example.margin or 0.0}
        start = len(example.prompt.turns)
        return [
            answered(chat, render, start, side=side, **more)
            for side, chat in enumerate(example.sides)
        ]

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Computes -log sigmoid(r_c - r_r - margin) + centering (r_c + r_r)^2, summed over
        pairs.
        """
        from tunesmith.models.calling.views import see

        scores_B = see(models["policy"], batch).outputs_BC[:, 0]
        scores_P2 = by_side(scores_B, batch)
        # Both sides of a pair bring its margin.
        margins_P2 = by_side(batch.columns["margin_B"].to(scores_B), batch)
        losses_P = self.terms(scores_P2, margins_P2[:, 0])
        total, (chosen_P, rejected_P) = losses_P.sum(), scores_P2.detach().unbind(1)
        watched = {
            "loss": losses_P.detach(),
            "accuracy": (chosen_P > rejected_P).float(),
            "margin": chosen_P - rejected_P,
            "score/chosen": chosen_P,
            "score/rejected": rejected_P,
        }
        return Loss(
            total,
            {
                name: Ratio(values_P.sum(), float(len(values_P)))
                for name, values_P in watched.items()
            },
        )

    def terms(self, scores_P2: torch.Tensor, margin_P: torch.Tensor) -> torch.Tensor:
        """Computes the loss of each pair."""
        from torch.nn.functional import logsigmoid

        chosen_P, rejected_P = scores_P2.unbind(1)
        return (
            -logsigmoid(chosen_P - rejected_P - margin_P)
            + self.config.centering * (chosen_P + rejected_P) ** 2
        )


def answered(chat: Chat, render: Render, start: int, **columns: object) -> Tokens:
    """Encodes a conversation as a reward model reads it, to the end of its last answer; the
    answer's own turns are those from ``start`` on.
    """
    if render.converses:
        return render.answering(chat, start, **columns)[-1]
    question = "\n".join(turn.content for turn in chat.turns[:-1])
    tokens = render.sequence(question, chat.turns[-1].content)
    return replace(tokens, columns={**tokens.columns, **columns})
