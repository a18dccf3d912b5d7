"""Hyperband (Li et al. 2018, algorithm 1): successive halving several times, from many settings
that are compared early to a few that are all trained long, for where the early scores may mislead.

The paper says how many settings each bracket has; here that many are shared out of those that are
asked for, in the same proportion. Each rung is a training of its own, with the whole schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Gt, Le

from tunesmith.searches.engines import ENGINES, Asked, Done, Engine, Trial, spread
from tunesmith.searches.engines._rungs import climb
from tunesmith.settings.spec import Spec


@ENGINES.register
class Hyperband(Engine):
    """Halving in several brackets: many settings a little, some longer, a few long from the
    start.
    """

    may_change = frozenset({"search.workers"})

    class Config(Spec):
        """Its brackets; 3 with 17 trials, 4 with 49 or 5 with 143 are the paper's for eta 3."""

        share: Annotated[float, Gt(0), Le(1)] = 0.3
        """Share of the whole training that the longest trials take."""
        eta: Annotated[int, Ge(2)] = 3
        """One in so many is trained on at each rung, so many times as long."""
        brackets: Annotated[int, Ge(1)] = 3
        """Brackets; the first has as many rungs, each further one a rung less."""

    def batch(self, asked: Asked, done: Sequence[Done]) -> list[Trial]:
        """Returns all trainings of a rung, bracket after bracket."""
        left = [
            {},
            *(spread(asked.spaces, asked.trials - 1, asked.seed) if asked.trials > 1 else ()),
        ]
        for count, shares in self._brackets(asked.trials):
            settings, left = left[:count], left[count:]
            rung, used = climb(settings, shares, done, self._kept)
            if rung:
                return rung
            done = done[used:]
        return []

    def total(self, trials: int) -> list[float]:
        """Counts the rungs of every bracket."""
        trainings: list[float] = []
        for count, shares in self._brackets(trials):
            for share in shares:
                trainings += [share] * count
                count = self._kept(count)
        return trainings

    def _kept(self, count: int) -> int:
        return max(1, count // self.config.eta)

    def _brackets(self, trials: int) -> list[tuple[int, list[float]]]:
        """Returns how many settings each bracket has, and the shares of its rungs."""
        eta = self.config.eta
        longest = self.config.brackets - 1
        heights = range(longest, -1, -1)
        paper = [-(-(longest + 1) * eta**height // (height + 1)) for height in heights]
        ends = [round(trials * sum(paper[: n + 1]) / sum(paper)) for n in range(len(paper))]
        return [
            (end - begin, [self.config.share / eta**n for n in range(height, -1, -1)])
            for begin, end, height in zip([0, *ends], ends, heights, strict=False)
            if end > begin
        ]
