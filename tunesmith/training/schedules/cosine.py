"""Half a cosine from the peak to 0 (Loshchilov & Hutter 2017, eq. 5, one cycle)."""

from __future__ import annotations

import math

from tunesmith.training.schedules import SCHEDULES, Schedule


@SCHEDULES.register
class Cosine(Schedule):
    """A fall along half a cosine to 0."""

    def shape(self, progress: float, cycles: int) -> float:
        """Computes (1 + cos(pi progress)) / 2."""
        return 0.5 * (1.0 + math.cos(math.pi * progress))
