"""How the next trials of a search are picked: one engine a file. An engine is a function of the
trials before; so a search that was stopped goes on with the same ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tunesmith.searches.engines._space import Space
from tunesmith.settings.family import ENGINES
from tunesmith.settings.spec import Spec

__all__ = [
    "ENGINES",
    "Asked",
    "Done",
    "Engine",
    "Space",
    "Trial",
    "how_many",
    "left_over",
    "longest",
    "spread",
]

COUNTED = 1000
"""Of more different settings than these few trials are the same."""


@dataclass(frozen=True)
class Asked:
    """What an engine picks from: the spaces by path, how many settings are tried, and how many of
    them may be trained at a time.
    """

    spaces: Mapping[str, Space]
    trials: int
    seed: int
    workers: int = 1


@dataclass(frozen=True)
class Trial:
    """The values of one training, and which share of the whole it is."""

    values: Mapping[str, Any]
    share: float


@dataclass(frozen=True)
class Done:
    """A trial that was trained; ``score`` is lower for a better one, infinite where it failed."""

    trial: Trial
    score: float


class Engine:
    """Base of the engines."""

    name: ClassVar[str]
    may_change: ClassVar[frozenset[str]] = frozenset()
    """Settings of the search that later calls may change: trials that are done stay what they
    are.
    """

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def check(self) -> None:
        """Raises SpecError for what is not installed, before anything is read."""

    def batch(self, asked: Asked, done: Sequence[Done]) -> list[Trial]:
        """Returns the trials after those that are ``done``, in their order, that need not know of
        each other's scores; ``done`` are whole batches. Nothing after the last.

        A trial without values is the run as it stands, and is always the first.
        """
        raise AssertionError(f"engine {self.name} picks nothing")

    def total(self, trials: int) -> list[float]:
        """Returns the share of the whole training that each training takes, in order."""
        raise AssertionError(f"engine {self.name} counts nothing")


def longest(done: Sequence[Done]) -> list[Done]:
    """Returns those that were trained longest: only these can be compared."""
    share = max(each.trial.share for each in done)
    return [each for each in done if each.trial.share == share]


def spread(spaces: Mapping[str, Space], count: int, seed: int) -> list[dict[str, Any]]:
    """Returns ``count`` settings that lie evenly in every space: a Latin hypercube, the middle of
    each of its cells (McKay, Beckman and Conover 1979). What would come twice gives its place to a
    setting that does not come, where there are so many.
    """
    random = np.random.default_rng(seed)
    columns = {path: random.permutation(count) for path in spaces}
    drawn = [
        {path: space.at((columns[path][row] + 0.5) / count) for path, space in spaces.items()}
        for row in range(count)
    ]
    left = left_over(spaces, drawn)
    order = iter(random.permutation(len(left)))
    for row, values in enumerate(drawn):
        if values in drawn[:row] and (free := next(order, None)) is not None:
            drawn[row] = left[free]
    return drawn


def how_many(spaces: Mapping[str, Space]) -> float:
    """Counts the different settings of the spaces; infinite where one is a range of fractions."""
    each = [space.values() for space in spaces.values()]
    return math.prod(math.inf if values is None else len(values) for values in each)


def left_over(
    spaces: Mapping[str, Space], taken: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Returns the settings that are not ``taken``; none where there are more than are worth
    counting.
    """
    if how_many(spaces) > COUNTED:
        return []
    every = itertools.product(*(space.values() or () for space in spaces.values()))
    named = (dict(zip(spaces, values, strict=True)) for values in every)
    return [values for values in named if values not in taken]
