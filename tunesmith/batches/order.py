"""Which rows a step takes, fixed by (seed, epoch, position). No torch here.

The order is a pure function, so a run resumes by an integer, and nothing touches a global
generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from tunesmith.settings.run import Run

USUAL_BATCH = 16
"""Rows of a step where that leaves FEWEST_STEPS steps or more; fewer rows where it does not."""
FEWEST_STEPS = 50
"""Below this many optimizer steps a learning rate schedule has hardly begun."""


def batch_size(rows: int, epochs: float) -> int:
    """Chooses how many rows a step takes when this is not given: 16, fewer where that would leave
    under 50 steps.
    """
    return max(1, min(USUAL_BATCH, int(rows * epochs) // FEWEST_STEPS))


def every(setting: float | Literal["epoch"], total: int, epoch: int) -> int:
    """Counts the steps between two evaluations or saves, from a share of the run (below 1), a
    number of steps, or the steps of an ``epoch``; 0 means never.
    """
    if setting == "epoch":
        return epoch
    return max(1, math.ceil(setting * total)) if 0 < setting < 1 else int(setting)


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, rows: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(rows)


@dataclass(frozen=True)
class Order:
    """The rows of every step. The last step of an epoch takes what is left; its sum is divided by
    its own units.
    """

    rows: int
    batch: int
    seed: int
    first_as_given: bool = False
    """Whether the first epoch takes the rows in the order in which they are given."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps that see every row once."""
        return math.ceil(self.rows / self.batch)

    def total(self, epochs: float, steps: int | None = None) -> int:
        """Counts the steps of the run; ``steps`` overrides ``epochs``."""
        return steps or max(1, math.ceil(round(epochs * self.steps_per_epoch, 6)))

    def taken(self, step: int) -> list[int]:
        """Returns the indices of the rows of ``step`` (from 0)."""
        epoch, index = divmod(step, self.steps_per_epoch)
        part = slice(index * self.batch, (index + 1) * self.batch)
        if self.first_as_given and epoch == 0:
            return list(range(self.rows)[part])
        return _permutation(self.seed, epoch, self.rows)[part].tolist()

    def epoch(self, step: int) -> float:
        """Passes over the data after ``step`` steps."""
        whole, index = divmod(step, self.steps_per_epoch)
        return whole + min(1.0, index * self.batch / self.rows)


def order_of(run: Run, rows: int) -> Order:
    """Returns the order in which a run takes its training rows."""
    assert run.train.batch is not None, "the batch was settled with the rows"
    return Order(rows, run.train.batch, run.train.seed, run.data.curriculum is not None)
