"""Any objective of a model that writes, held to what the base said: learning without forgetting (Li
& Hoiem 2017, eq. 2 and 3).

A sequence adds weight × units × the mean over its scored tokens of T² KL(base ‖ policy), so that a
weight means the same beside a loss per token and beside one per pair. Li & Hoiem use the weight 1
and T = 2; T² keeps the gradient's size (Hinton et al. 2015, section 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from tunesmith.batches.batch import Batch, Loss, Ratio, Tokens
from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Chat, Example
from tunesmith.objectives import OBJECTIVES, Objective, Ranks
from tunesmith.settings.family import choice
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig

    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models


@OBJECTIVES.register
class DistillToBase(Objective):
    """Distillation to the base: learns by another objective and stays close to the untouched base
    in what it says.
    """

    eats, unit, roles = Chat, "token", frozenset({"base"})

    class Config(Spec):
        """Another objective, and how far from the base the model may go."""

        of: choice(OBJECTIVES, "sft") = "sft"  # type: ignore[valid-type]
        """The objective that is learned, with its settings: ``of: {name: dpo, beta: 0.2}``."""
        weight: Annotated[float, Gt(0)] = 1.0
        """Weight of the distance to the base; 0.1 forgets a little, 10 learns slowly."""
        temperature: Annotated[float, Gt(0)] = 1.0
        """Both distributions are flattened by this; above 1 unlikely tokens count more."""

        model_config = Spec.model_config | {"validate_default": True}

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        try:
            self.of: Objective = OBJECTIVES.make(config.of)
        except SpecError as error:
            inner = ("objective.", "objective.of.")
            raise SpecError(
                Problem(one.where.replace(*inner, 1), one.text) for one in error.problems
            ) from None
        if not self.of.output.writes or self.of.samples or "base" in self.of.roles:
            told = say("preference.of_what", of=config.of.name)
            raise SpecError(Problem("objective.of", told))
        of = self.of
        self.eats, self.unit, self.two_sided = of.eats, of.unit, of.two_sided  # type: ignore[misc]
        self.measures, self.rate_factor = of.measures, of.rate_factor  # type: ignore[misc]
        self.gives, self.roles = of.gives, of.roles | {"base"}  # type: ignore[misc]
        self.rate_reason = of.rate_reason  # type: ignore[misc]

    def folders(self) -> dict[str, str]:
        """Returns the folders of the inner objective."""
        return {f"of.{key}": folder for key, folder in self.of.folders().items()}

    def learn(self, examples: Iterable[Example]) -> list[str]:
        """Lets the inner objective learn from the rows."""
        return self.of.learn(examples)

    def learned(self) -> dict[str, object]:
        """Returns what the inner objective learned."""
        return self.of.learned()

    def take(self, learned: Mapping[str, object]) -> None:
        """Lets the inner objective take it."""
        self.of.take(learned)

    def measured(self) -> dict[str, bool]:
        """Returns what the inner objective measures."""
        return self.of.measured()

    def stratum(self, tokens: tuple[Tokens, ...]) -> str | None:
        """Returns the inner objective's stratum."""
        return self.of.stratum(tokens)

    def missing(self, train: Sequence[tuple[Tokens, ...]]) -> list[str]:
        """Returns the inner objective's notes on what no training row shows."""
        return self.of.missing(train)

    def repeats(self, tokens: tuple[Tokens, ...]) -> float:
        """Returns the inner objective's repeats."""
        return self.of.repeats(tokens)

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Encodes as the inner objective does."""
        return self.of.encode(example, render)

    def told(self, tokens: Tokens) -> str:
        """Describes a sequence as the inner objective does."""
        return self.of.told(tokens)

    def across(self, rows: list[tuple[Tokens, ...]]) -> list[tuple[Tokens, ...]]:
        """Changes the rows as the inner objective does."""
        return self.of.across(rows)

    def prepare(self, models: Models, step: list[Batch], over_ranks: Ranks) -> None:
        """Prepares the step of the inner objective."""
        self.of.prepare(models, step, over_ranks)

    def beside(self, folder: Path, config: PreTrainedConfig, longest: int) -> None:
        """Writes the inner objective's files."""
        self.of.beside(folder, config, longest)

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
        told = {"kl_to_base": Ratio(distance.detach(), batch.units)}
        return Loss(inner.total + self.config.weight * distance, inner.metrics | told)


def _shares(batch: Batch) -> torch.Tensor:
    """Returns [N] each scored token's share of its sequence's units."""
    whole_B = batch.units_B.new_zeros(len(batch.units_B))
    whole_B = whole_B.index_add(0, batch.owner_N, batch.weights_N)
    each_B = batch.units_B / whole_B.clamp(min=1e-12)
    return batch.weights_N * each_B.index_select(0, batch.owner_N)
