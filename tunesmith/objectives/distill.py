"""Distillation from a teacher's whole distribution over the answers of the rows. Logits are divided
by the temperature T and the divergence multiplied by T^2, so that its gradient keeps its size
beside that of the hard labels (Hinton et al. 2015, section 2); TRL's GKD leaves T^2 out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Le, Lt

from tunesmith.batches.batch import Batch, Loss, Ratio, Tokens
from tunesmith.examples import Chat, Example
from tunesmith.objectives import OBJECTIVES, Objective
from tunesmith.objectives._divergence import Divergence, beta_of_jsd, divergence
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch

    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models


@OBJECTIVES.register
class Distill(Objective):
    """Distillation: learns the answers as a larger model with the same vocabulary would weigh every
    token of them.
    """

    eats, unit, roles = Chat, "token", frozenset({"teacher"})
    measures: ClassVar[dict[str, bool]] = {"divergence": False, "nll": False}

    class Config(Spec):
        """A teacher's distribution over the tokens of the answers."""

        teacher: str
        """The teacher: a folder, a hub id, or a finished run, such as objective.teacher=runs/large;
        its tokenizer must be the student's."""
        divergence: Divergence = "forward_kl"
        """How far the student is from the teacher: forward_kl covers all the teacher may say,
        reverse_kl keeps to what it likes best, jsd lies between."""
        beta: Annotated[float, Gt(0), Lt(1)] = 0.5
        """Share of the teacher in the mixture; of jsd."""
        temperature: Annotated[float, Gt(0)] = 1.0
        """Both distributions are flattened by this; above 1 unlikely tokens count more."""
        hard: Annotated[float, Ge(0), Le(1)] = 0.0
        """Share of the usual loss on the answers' own tokens; 0 learns from the teacher alone."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        beta_of_jsd(config)

    def folders(self) -> dict[str, str]:
        """Returns the teacher's folder."""
        return {"teacher": self.config.teacher}

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Renders the conversation; what is trained is marked by its weights."""
        assert isinstance(example, Chat)
        return render.chat(example)

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Computes ``sum(w ((1 - hard) T^2 D(teacher, student) - hard log p))`` over the scored
        tokens.
        """
        import torch

        from tunesmith.models.calling.nll import nll
        from tunesmith.models.calling.views import see

        config, parts = self.config, {"divergence": [], "nll": []}

        def mixed(
            logits_nV: torch.Tensor, other_nV: torch.Tensor | None, chunk: slice
        ) -> torch.Tensor:
            assert other_nV is not None, "the teacher sees the same batch"
            weights_n = batch.weights_N[chunk]
            apart = (weights_n * self.divergence(other_nV, logits_nV)).sum()
            hard = (weights_n * nll(logits_nV, batch.targets_N[chunk])).sum()
            parts["divergence"].append(apart.detach())
            parts["nll"].append(hard.detach())
            return (1 - config.hard) * apart + config.hard * hard

        with torch.no_grad():
            teacher = see(models["teacher"], batch)
        total = see(models["policy"], batch).over_logits(mixed, other=teacher)
        metrics = {"loss": Ratio(total.detach(), batch.units)}
        return Loss(
            total, metrics | {name: Ratio(sum(sums), batch.units) for name, sums in parts.items()}
        )

    def divergence(self, teacher_nV: torch.Tensor, student_nV: torch.Tensor) -> torch.Tensor:
        """Computes [n] T^2 times the divergence of the two distributions that these logits give at
        temperature T (nats).
        """
        heat = self.config.temperature
        options = {"heat": heat, "share": self.config.beta}
        return heat**2 * divergence(self.config.divergence, teacher_nV, student_nV, **options)
