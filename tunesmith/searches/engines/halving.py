"""Successive halving (Jamieson and Talwalkar 2016, algorithm 1) over settings that lie evenly in
their spaces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from annotated_types import Gt, Le, MinLen

from tunesmith.searches.engines import ENGINES, Done, Engine, Trial, spread
from tunesmith.searches.engines._space import Space
from tunesmith.settings.spec import Spec


@ENGINES.register
class Halving(Engine):
    """All settings are trained a little, the better half of them longer."""

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

    def next(
        self, spaces: Mapping[str, Space], done: Sequence[Done], trials: int, seed: int
    ) -> Trial | None:
        """Returns the next training of the rung, or the first of the next one."""
        given = [dict(values) for values in self.config.given]
        even = trials - 1 - len(given)
        left = [{}, *given, *(spread(spaces, even, seed) if even > 0 else ())][:trials]
        before = 0
        for share in self.config.rungs:
            if len(done) < before + len(left):
                return Trial(left[len(done) - before], share)
            rung = done[before : before + len(left)]
            before += len(left)
            order = sorted(range(len(left)), key=lambda place: rung[place].score)
            kept = [place for place in order if math.isfinite(rung[place].score)]
            left = [left[place] for place in sorted(kept[: math.ceil(len(left) / 2)])]
        return None

    def total(self, trials: int) -> list[float]:
        """Counts half as many trainings at each rung."""
        found: list[float] = []
        for share in self.config.rungs:
            found += [share] * trials
            trials = math.ceil(trials / 2)
        return found
