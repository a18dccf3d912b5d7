"""Random search (Bergstra and Bengio 2012): every trial is drawn alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from tunesmith.searches.engines import ENGINES, Done, Engine, Trial
from tunesmith.searches.engines._space import Space
from tunesmith.settings.spec import Spec


@ENGINES.register
class Random(Engine):
    """Settings drawn at random; more trials can be added later."""

    class Config(Spec):
        """How long a trial is."""

        share: Annotated[float, Gt(0), Le(1)] = 0.3
        """Share of the whole training that each trial takes."""

    def next(
        self, spaces: Mapping[str, Space], done: Sequence[Done], trials: int, seed: int
    ) -> Trial | None:
        """Draws the next trial by its number."""
        if len(done) >= trials:
            return None
        if not done:
            return Trial({}, self.config.share)
        draws = np.random.default_rng([seed, len(done)]).random(len(spaces))
        values = {
            path: space.at(draw) for (path, space), draw in zip(spaces.items(), draws, strict=True)
        }
        return Trial(values, self.config.share)

    def total(self, trials: int) -> list[float]:
        """Counts every trial once."""
        return [self.config.share] * trials
