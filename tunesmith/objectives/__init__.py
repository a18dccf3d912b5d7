"""What is learned: one objective a file. Each sums a loss over units; the loop divides once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from tunesmith.batches.batch import Batch, Loss, Tokens
from tunesmith.examples import Chat, Example, Feedback, Outputs, Preference
from tunesmith.settings.family import OBJECTIVES, OUTPUTS
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig

    from tunesmith.batches.rollout import Group
    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models
    from tunesmith.models.loading.load import Loaded
    from tunesmith.outputs import Output

__all__ = ["OBJECTIVES", "Objective", "Ranks"]


class Ranks(Protocol):
    """The processes of a run, as an objective sees them."""

    @property
    def several(self) -> bool:
        """Whether there is more than one process."""
        ...

    def sum(self, *values: float) -> list[float]:
        """Adds up each value over all ranks."""
        ...

    def gather(self, rows: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Returns the rows of all processes, and where those of this process begin."""
        ...


class Objective:
    """Base of the objectives; ``models`` in ``loss`` holds the policy and each of ``roles`` by
    name.
    """

    name: ClassVar[str]
    eats: ClassVar[type]
    """The kind of Example it reads."""
    unit: ClassVar[str] = "token"
    """What its loss is a sum over: token (weights), label (tokens with a class), sequence or
    example.
    """
    roles: ClassVar[frozenset[str]] = frozenset()
    """The models it needs beside the policy. Of "reference", the base as it was, each sequence
    brings its log-probability as the column ``reference``; in evaluations it is among the models
    where it is at hand.
    """
    samples: ClassVar[bool] = False
    """Whether it learns from answers that the model samples: its rows are prompts, and what they
    know of right answers is for the rewards.
    """
    compares: ClassVar[bool] = False
    """Whether it compares the answers to one prompt with each other, so that a prompt whose answers
    are worth the same teaches nothing. Only of one that ``samples``.
    """
    by_rewards: ClassVar[bool] = True
    """Whether the rewards say what is learned from a sampled answer; where not, they only measure
    it. Only of one that ``samples``.
    """
    two_sided: ClassVar[bool] = False
    """Whether it can train a model with an encoder and a decoder."""
    measures: ClassVar[dict[str, bool]] = {}
    """Metrics of its own that may choose the best checkpoint, and whether more is better."""
    likelihood: ClassVar[bool] = False
    """Whether what is measured as its loss is the negative log-likelihood a token, whatever its
    settings: a proof calls the same number nll, and runs with other settings compare by it.
    """
    rate_factor: ClassVar[float] = 1.0
    """Factor on the method's own learning rate."""
    head: ClassVar[str] = "language"
    """What stands on the model's trunk, one of ``models.structure.kinds.HEADS``."""
    gives: ClassVar[str] = "answers"
    """What its model says of a row: a kind of ``tunesmith/outputs/``, which decides how it is
    asked, watched and proved.
    """
    rate_reason: ClassVar[str] = "plan.reason_rate_objective"
    """Words for ``rate_factor``."""
    outputs: Outputs | None = None
    """The outputs of a head of classes; known once ``learn`` has seen the rows."""
    threshold: Literal["auto", "half", "fitted"] = "auto"
    """From which probability a class is named, as ``classify`` has it."""

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def output(self) -> Output:
        """The kind of output that the model gives for a row."""
        return OUTPUTS.get(self.gives)(self)

    @property
    def chats(self) -> bool:
        """Whether its rows are conversations, so that they are written by a template."""
        return issubclass(self.eats, (Chat, Preference, Feedback))

    @property
    def pairs(self) -> bool:
        """Whether a row is two answers, so that its accuracy is how often the better one wins."""
        return issubclass(self.eats, Preference)

    def meant(self, example: Example) -> Example:
        """Completes the example of a row by the settings, for instance where its tags are numbers;
        raises DataError where they do not fit.
        """
        return example

    def learn(self, examples: Iterable[Example]) -> list[str]:
        """Learns, once before the first ``encode``, what must be known of all rows, such as their
        labels; returns notes for the ledger.
        """
        return []

    def learned(self) -> dict[str, object]:
        """Returns what ``learn`` found, for rows that are kept with it."""
        if type(self).learn is Objective.learn:
            return {}
        return {name: value for name, value in vars(self).items() if name != "config"}

    def take(self, learned: Mapping[str, object]) -> None:
        """Takes what another objective with these settings learned from the same rows."""
        vars(self).update(learned)

    @staticmethod
    def fits(config: Any) -> str | None:
        """Returns the setting that asks for a value fitted on watched rows after training; None
        without one.
        """
        return None

    def measured(self) -> dict[str, bool]:
        """Returns those of ``measures`` that the rows allow, known once they have been seen."""
        return self.measures

    def stratum(self, tokens: tuple[Tokens, ...]) -> str | None:
        """Returns the class of a row, so that each class has its share of the held-out rows; None
        without classes.
        """
        return None

    def missing(self, train: Sequence[tuple[Tokens, ...]]) -> list[str]:
        """Returns notes on what the held-out rows ask for and no training row shows."""
        return []

    def repeats(self, tokens: tuple[Tokens, ...]) -> float:
        """Returns how often a training row is seen in an epoch."""
        return 1.0

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Returns the sequences of one example; they stay together in one batch."""
        raise AssertionError(f"objective {self.name} has no encode")

    def told(self, tokens: Tokens) -> str:
        """Describes, for a person who looks at the rows, what is learned from a sequence as a
        whole, or what it is in its row.
        """
        return ""

    def sampled(self, config: Any) -> None:
        """Takes how answers are sampled, the settings of the source; raises SpecError where it
        cannot learn from such. Only of one that ``samples``.
        """

    def experience(
        self, groups: Sequence[Group], policy: Loaded, models: Models
    ) -> tuple[list[list[Tokens]], dict[str, float]]:
        """Turns sampled answers into examples: the sequences of each prompt, none where nothing can
        be learned, and numbers for the record. Called only for an objective that ``samples``.
        """
        raise AssertionError(f"objective {self.name} learns from no samples")

    def state(self) -> dict[str, Any]:
        """Returns what moves from step to step, for a checkpoint. Only of one that ``samples``."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``."""

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Computes the sum of the loss over ``batch.units``, with gradient, and metrics."""
        raise AssertionError(f"objective {self.name} has no loss")

    def across(self, rows: list[tuple[Tokens, ...]]) -> list[tuple[Tokens, ...]]:
        """Changes the sequences of all rows of a part (training, watched), where a row needs
        something from another.
        """
        return rows

    def prepare(self, models: Models, step: list[Batch], over_ranks: Ranks) -> None:
        """Prepares a step, once before backward, over all its batches; fills ``batch.columns``
        where a loss is not a sum over examples.

        A step's gradient is what ``loss`` gives afterwards, batch by batch. An ``idle`` batch is
        run like the others, because other processes run as many, and counts nothing.
        """

    def folders(self) -> dict[str, str]:
        """Returns the models that the settings name, by their keys below ``objective``."""
        return {}

    def beside(self, folder: Path, config: PreTrainedConfig, longest: int) -> None:
        """Writes what other toolkits need beside a saved model of this transformers config, which
        reads ``longest`` tokens.
        """
