"""Successive halving (Jamieson and Talwalkar 2016, algorithm 1) over settings that lie evenly in
their spaces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from annotated_types import Gt, Le, MinLen

from tunesmith.searches.engines import ENGINES, Asked, Done, Engine, Trial, spread
from tunesmith.searches.engines._rungs import climb
from tunesmith.settings.spec import Spec


@ENGINES.register
class Halving(Engine):
    """All settings are trained a little, the better half of them longer."""

    may_change = frozenset({"search.workers"})

    class Config(Spec):
        """Shares of the whole training."""

        rungs: Annotated[tuple[Annotated[float, Gt(0), Le(1)], ...], MinLen(1)] = (0.1, 0.3)
        """Shares of the whole training; after each but the last the worse half is left out. Each is
        a training of its own, with the whole schedule.
        """
        given: tuple[Mapping[str, Any], ...] = ()
        """Settings by path that are tried after the run's own, before those that lie evenly:
        ``[{method: full, train.learning_rate: 1e-4}]``; as many as there are trials for.
        """

    def batch(self, asked: Asked, done: Sequence[Done]) -> list[Trial]:
        """Returns all trainings of a rung."""
        given = [dict(values) for values in self.config.given]
        even = asked.trials - 1 - len(given)
        drawn = spread(asked.spaces, even, asked.seed) if even > 0 else []
        return self.of([{}, *given, *drawn][: asked.trials], done)

    def of(self, settings: Sequence[Mapping[str, Any]], done: Sequence[Done]) -> list[Trial]:
        """Returns all trainings of the next rung where just these settings are compared; what is
        left alone is trained no further, for there is nothing to compare it with.
        """
        rung = climb(settings, self.config.rungs, done, lambda count: math.ceil(count / 2))[0]
        return [] if done and len(rung) == 1 else rung

    def total(self, trials: int) -> list[float]:
        """Counts half as many trainings at each rung, and none of one that is left alone."""
        trainings: list[float] = []
        for share in self.config.rungs:
            if trainings and trials == 1:
                break
            trainings += [share] * trials
            trials = math.ceil(trials / 2)
        return trainings
