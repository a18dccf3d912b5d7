"""``train.cycles`` half cosines of equal length, each from the peak to 0 (Loshchilov & Hutter 2017,
eq. 5).
"""

from __future__ import annotations

import math

from tunesmith.training.schedules import SCHEDULES, Schedule


@SCHEDULES.register
class CosineWithRestarts(Schedule):
    """A fall along half a cosine and a jump back to the peak, ``train.cycles`` times."""

    def shape(self, progress: float, cycles: int) -> float:
        """Computes (1 + cos(pi frac(cycles progress))) / 2."""
        # Rounded, because 49 * (1 / 49) is just below 1 and would end a cycle instead of beginning
        # one.
        return 0.5 * (1.0 + math.cos(math.pi * (round(cycles * progress, 9) % 1.0)))
