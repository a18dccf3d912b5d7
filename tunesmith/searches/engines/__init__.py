"""How the next trial of a search is picked: one engine a file. An engine is a function of the
trials before; so a search that was stopped goes on with the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tunesmith.searches.engines._space import Space
from tunesmith.settings.family import ENGINES
from tunesmith.settings.spec import Spec

__all__ = ["ENGINES", "Done", "Engine", "Space", "Trial", "spread"]


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

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def next(
        self, spaces: Mapping[str, Space], done: Sequence[Done], trials: int, seed: int
    ) -> Trial | None:
        """Returns the trial after those that are ``done``, in their order; None after the last. A
        trial without values is the run as it stands, and is always the first.
        """
        raise AssertionError(f"engine {self.name} picks nothing")

    def total(self, trials: int) -> list[float]:
        """Returns the share of the whole training that each training takes, in order."""
        raise AssertionError(f"engine {self.name} counts nothing")


def spread(spaces: Mapping[str, Space], count: int, seed: int) -> list[dict[str, Any]]:
    """Returns ``count`` settings that lie evenly in every space: a Latin hypercube, the middle of
    each of its cells (McKay, Beckman and Conover 1979).
    """
    random = np.random.default_rng(seed)
    columns = {path: random.permutation(count) for path in spaces}
    return [
        {path: space.at((columns[path][row] + 0.5) / count) for path, space in spaces.items()}
        for row in range(count)
    ]
