"""Another objective with a term beside its loss: what such a wrapper hands on to the objective that
is learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from tunesmith.batches.batch import Batch, Loss, Ratio, Tokens
from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Example
from tunesmith.objectives import OBJECTIVES, Objective, Ranks
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import LossModel, Models


class OfAnother(Protocol):
    """The settings of a wrapper: those of the objective that is learned, and its own."""

    of: Spec


class Wrapped:
    """Base of the wrappers, before ``Objective``. Only an objective of a model that writes, that
    samples nothing and is no wrapper itself, can be wrapped.
    """

    name: ClassVar[str]
    adds: ClassVar[frozenset[str]]
    """The roles that it needs beside those of the inner objective."""

    def __init__(self, config: OfAnother) -> None:
        self.config = config
        try:
            self.of: Objective = OBJECTIVES.make(config.of)
        except SpecError as error:
            inner = ("objective.", "objective.of.")
            raise SpecError(
                Problem(problem.where.replace(*inner, 1), problem.text)
                for problem in error.problems
            ) from None
        of = self.of
        if not of.output.writes or of.samples or isinstance(of, Wrapped):
            text = say("preference.of_what", of=of.name, wrapper=self.name)
            raise SpecError(Problem("objective.of", text))
        self.eats, self.unit, self.two_sided = of.eats, of.unit, of.two_sided
        self.measures, self.rate_factor = of.measures, of.rate_factor
        self.gives, self.roles = of.gives, of.roles | self.adds
        self.rate_reason = of.rate_reason

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


def with_distance(inner: Loss, start: LossModel, weight: float, batch: Batch) -> Loss:
    """Adds ``weight`` times the distance of the weights to their start, told as ``distance``.

    A micro-batch adds it for its share of the step's units, by which the sum is divided: it counts
    once a step, however the step is cut and over how many processes.
    """
    from tunesmith.models.roles.start import FromStart

    assert isinstance(start, FromStart), "the role gives it"
    held = weight * start.distance()
    metrics = {"distance": Ratio(held.detach() * batch.units, batch.units)}
    return Loss(inner.total + held * batch.units, inner.metrics | metrics)
