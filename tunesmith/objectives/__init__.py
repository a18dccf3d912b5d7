"""What is learned: one objective a file. Each sums a loss over units; the loop divides once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.batch import Batch, Loss, Tokens
from tunesmith.examples import Example
from tunesmith.spec import OBJECTIVES, Spec

if TYPE_CHECKING:
    from tunesmith.data.render import Render

__all__ = ["OBJECTIVES", "Objective"]


class Objective:
    """Base of the objectives; ``models`` in ``loss`` holds the policy and each of ``roles`` by name."""

    name: ClassVar[str]
    eats: ClassVar[type]
    """The kind of Example it reads."""
    unit: ClassVar[str] = "token"
    """What its loss is a sum over: token (weights), sequence or example."""
    roles: ClassVar[frozenset[str]] = frozenset()
    """The models it needs beside the policy. Of "reference", the base as it was, each sequence brings its log-probability
    as the column ``reference``; in evaluations it is among the models where it is at hand.
    """
    measures: ClassVar[dict[str, bool]] = {}
    """Metrics of its own that may choose the best checkpoint, and whether more is better."""
    rate_factor: ClassVar[float] = 1.0
    """Factor on the method's own learning rate."""
    two_sided: ClassVar[bool] = False
    """Whether it can train a model with an encoder and a decoder."""

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """The sequences of one example; they stay together in one batch."""
        raise AssertionError(f"objective {self.name} has no encode")

    def loss(self, models: dict[str, Any], batch: Batch) -> Loss:
        """The sum of the loss over ``batch.units``, with gradient, and metrics."""
        raise AssertionError(f"objective {self.name} has no loss")

    def across(self, rows: list[tuple[Tokens, ...]]) -> list[tuple[Tokens, ...]]:
        """The sequences of all rows of a part (training, watched), where a row needs what stands in another."""
        return rows

    def prepare(self, models: dict[str, Any], step: list[Batch], over_ranks: Callable[..., list[float]]) -> None:
        """Once a step, before backward, over all its batches; fills ``batch.columns`` where a loss is no sum over examples.

        ``over_ranks`` adds each number that it is given over the ranks.
        """
