"""On-policy distillation (Agarwal et al. 2024, GKD, algorithm 1 with lambda = 1): the student
answers, and a teacher with the same vocabulary weighs every token of what it wrote, so that it
learns in the places where it gets itself. No gradient goes through the sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Gt, Lt

from tunesmith.batches.batch import Batch, Loss, Ratio, Tokens
from tunesmith.batches.rollout import Group, answered
from tunesmith.examples import Chat, Example
from tunesmith.objectives import OBJECTIVES, Objective, Ranks
from tunesmith.objectives._divergence import Divergence, beta_of_jsd, divergence
from tunesmith.objectives._sampled import encode_prompt, still
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch

    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models
    from tunesmith.models.loading.load import Loaded


@OBJECTIVES.register
class Gkd(Objective):
    """On-policy distillation: a larger model with the same vocabulary weighs every token of the
    answers that the model samples itself.
    """

    eats, unit, samples, by_rewards = Chat, "token", True, False
    measures, roles = {"reward": True}, frozenset({"teacher"})

    class Config(Spec):
        """A teacher's distribution over the tokens of the model's own answers; both are taken at
        source.temperature. Nothing is learned from source.rewards, which measure the answers.
        """

        teacher: str
        """The teacher: a folder, a hub id, or a finished run, such as objective.teacher=runs/large;
        its tokenizer must be the student's."""
        divergence: Divergence = "reverse_kl"
        """How far the student is from the teacher: reverse_kl keeps to what it likes best,
        forward_kl covers all the teacher may say, jsd lies between."""
        beta: Annotated[float, Gt(0), Lt(1)] = 0.5
        """Share of the teacher in the mixture; of jsd."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.temperature = 1.0
        beta_of_jsd(config)

    def folders(self) -> dict[str, str]:
        """Returns the teacher's folder."""
        return {"teacher": self.config.teacher}

    def sampled(self, config: Any) -> None:
        """Takes the temperature."""
        self.temperature = config.temperature

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Renders the prompt."""
        return encode_prompt(example, render)

    def experience(
        self, groups: Sequence[Group], policy: Loaded, models: Models
    ) -> tuple[list[list[Tokens]], dict[str, float]]:
        """Returns the answers as they were sampled, each token scored; what they are worth plays no
        part.
        """
        examples = [
            [
                answered(group.prompt_T, answer, sampled=answer.logprobs_T)
                for answer in group.answers
            ]
            for group in groups
        ]
        return examples, {}

    def prepare(self, models: Models, step: list[Batch], over_ranks: Ranks) -> None:
        """Turns dropout off."""
        from tunesmith.models.calling.loss_models import policy_of

        still(policy_of(models))

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Sums the divergence from the teacher over the sampled tokens (nats).

        ``sampler_gap`` is the mean difference to what the sampler said of its tokens (nats).
        """
        import torch

        from tunesmith.models.calling.nll import nll
        from tunesmith.models.calling.views import see

        config, heat, gaps = self.config, self.temperature, []
        options = {"heat": heat, "share": config.beta}

        def apart(
            logits_nV: torch.Tensor, other_nV: torch.Tensor | None, chunk: slice
        ) -> torch.Tensor:
            assert other_nV is not None, "the teacher sees the same batch"
            own_n = nll(logits_nV.detach() / heat, batch.targets_N[chunk])
            gaps.append((own_n + batch.columns["sampled_N"][chunk]).abs().sum())
            return divergence(config.divergence, other_nV, logits_nV, **options).sum()

        with torch.no_grad():
            teacher = see(models["teacher"], batch)
        total = see(models["policy"], batch).over_logits(apart, other=teacher)
        metrics = {"loss": total.detach(), "divergence": total.detach(), "sampler_gap": sum(gaps)}
        return Loss(total, {name: Ratio(value, batch.units) for name, value in metrics.items()})
