"""Random search (Bergstra and Bengio 2012): every trial is drawn alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from tunesmith.searches.engines import ENGINES, Asked, Done, Engine, Trial
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
        """Draws all that are left, each by its number."""
        return [self._drawn(asked, number) for number in range(len(done), asked.trials)]

    def _drawn(self, asked: Asked, number: int) -> Trial:
        if number == 0:
            return Trial({}, self.config.share)
        draws = np.random.default_rng([asked.seed, number]).random(len(asked.spaces))
        values = {
            path: space.at(draw)
            for (path, space), draw in zip(asked.spaces.items(), draws, strict=True)
        }
        return Trial(values, self.config.share)

    def total(self, trials: int) -> list[float]:
        """Counts every trial once."""
        return [self.config.share] * trials
