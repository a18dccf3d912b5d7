"""Random search (Bergstra and Bengio 2012): every trial is drawn alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt, Le

from tunesmith.searches.engines import ENGINES, Asked, Done, Engine, Trial, left_over
from tunesmith.settings.spec import Spec


@ENGINES.register
class Random(Engine):
    """Settings drawn at random; more trials can be added later."""

    may_change = frozenset({"search.trials", "search.workers"})

    class Config(Spec):
        """How long a trial is."""

        share: Annotated[float, Gt(0), Le(1)] = 0.3
        """Share of the whole training that each trial takes."""

    def batch(self, asked: Asked, done: Sequence[Done]) -> list[Trial]:
        """Draws all that are left, each by its number; what was drawn before gives its place to one
        of the settings that were not, where these can be counted.
        """
        drawn: list[dict[str, Any]] = []
        for number in range(1, asked.trials):
            # A generator for each trial: more trials later leave the first ones as they are.
            random = np.random.default_rng([asked.seed, number])
            draws = random.random(len(asked.spaces))
            values = {
                path: space.at(draw)
                for (path, space), draw in zip(asked.spaces.items(), draws, strict=True)
            }
            if values in drawn and (left := left_over(asked.spaces, drawn)):
                values = left[random.integers(len(left))]
            drawn.append(values)
        every = [Trial(values, self.config.share) for values in ({}, *drawn)]
        return every[len(done) : asked.trials]

    def total(self, trials: int) -> list[float]:
        """Counts every trial once."""
        return [self.config.share] * trials
