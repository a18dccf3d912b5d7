"""Warm-up, a long plateau, then a straight fall (Hu et al. 2024, MiniCPM, eq. 1; there the fall is
exponential).
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Le

from tunesmith.settings.spec import Spec
from tunesmith.training.schedules import SCHEDULES, Schedule


@SCHEDULES.register
class WarmupStableDecay(Schedule):
    """A rate that stays at the peak, then falls in a straight line to 0."""

    class Config(Spec):
        """Where the fall begins."""

        decay: Annotated[float, Gt(0), Le(1)] = 0.2
        """Share of the run after warm-up in which the rate falls."""

    def shape(self, progress: float, cycles: int) -> float:
        """Returns 1 up to 1 - decay, then (1 - progress) / decay."""
        return min(1.0, (1.0 - progress) / self.config.decay)
