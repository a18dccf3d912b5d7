"""Which rows a step takes, fixed by (seed, epoch, position), and how they are cut into micro-batches. No torch here.

The order is a pure function, so a run resumes by an integer, and nothing touches a global generator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tunesmith.batch import Tokens

Example = Sequence[Tokens]

USUAL_BATCH = 16
FEWEST_STEPS = 50
"""Below this many optimizer steps a learning rate schedule has hardly begun."""


def batch_size(rows: int, epochs: float) -> int:
    """Rows a step when none is given: 16, fewer where that would leave under 50 steps."""
    return max(1, min(USUAL_BATCH, int(rows * epochs) // FEWEST_STEPS))


def every(setting: float, total: int) -> int:
    """Steps between two evaluations or saves, from a share of the run (below 1) or a number of steps; 0 is never."""
    return max(1, math.ceil(setting * total)) if 0 < setting < 1 else int(setting)


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, rows: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(rows)


@dataclass(frozen=True)
class Order:
    """The rows of every step. The last step of an epoch takes what is left; its sum is divided by its own units."""

    rows: int
    batch: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Steps that see every row once."""
        return math.ceil(self.rows / self.batch)

    def total(self, epochs: float, steps: int | None = None) -> int:
        """Steps of the run; ``steps`` overrides ``epochs``."""
        return steps or max(1, math.ceil(round(epochs * self.steps_per_epoch, 6)))

    def taken(self, step: int) -> list[int]:
        """Indices of the rows of ``step`` (from 0)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return _permutation(self.seed, epoch, self.rows)[place * self.batch : (place + 1) * self.batch].tolist()

    def epoch(self, step: int) -> float:
        """Passes over the data after ``step`` steps."""
        whole, place = divmod(step, self.steps_per_epoch)
        return whole + min(1.0, place * self.batch / self.rows)


def cut(examples: Sequence[Example], budget: int, *, padded: bool = False, parts: int = 1) -> list[list[int]]:
    """Indices into ``examples``, cut so that no micro-batch costs more than ``budget`` tokens unless one example alone does.

    A forest costs the tokens that are not shared, so examples that begin alike come together; padded rows cost
    their count times the longest, so examples of one length do. At least ``parts`` micro-batches where the rows suffice.
    """
    key = _longest if padded else _beginning
    order = sorted(range(len(examples)), key=lambda index: (key(examples[index]), index))
    if parts > 1:
        whole = _Cost(padded)
        for index in order:
            whole.add(examples[index])
        budget = min(budget, math.ceil(whole.tokens / parts))
    found: list[list[int]] = []
    cost = _Cost(padded)
    for index in order:
        if found and cost.with_(examples[index]) <= budget:
            found[-1].append(index)
        else:
            found.append([index])
            cost = _Cost(padded)
        cost.add(examples[index])
    return found


def _longest(example: Example) -> int:
    return max(map(len, example))


def _beginning(example: Example) -> bytes:
    # Big-endian unsigned integers compare as bytes the way they compare as numbers.
    return example[0].ids_T.astype(">u4").tobytes()


class _Cost:
    """Tokens that a micro-batch computes; a forest's is exact while the examples come sorted."""

    def __init__(self, padded: bool) -> None:
        self.padded = padded
        self.tokens = 0
        self._rows = 0
        self._longest = 0
        self._last: np.ndarray | None = None

    def with_(self, example: Example) -> int:
        """The cost once ``example`` is added."""
        if self.padded:
            return (self._rows + len(example)) * max(self._longest, _longest(example))
        last, cost = self._last, self.tokens
        for tokens in example:
            cost += len(tokens) - (_common(last, tokens.ids_T) if last is not None else 0)
            last = tokens.ids_T
        return cost

    def add(self, example: Example) -> None:
        """Counts ``example`` in."""
        self.tokens = self.with_(example)
        self._rows += len(example)
        self._longest = max(self._longest, _longest(example))
        self._last = example[-1].ids_T


def _common(left: np.ndarray, right: np.ndarray) -> int:
    length = min(len(left), len(right))
    different = np.flatnonzero(left[:length] != right[:length])
    return int(different[0]) if len(different) else length
