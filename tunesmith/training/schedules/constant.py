"""The peak rate throughout."""

from __future__ import annotations

from tunesmith.training.schedules import SCHEDULES, Schedule


@SCHEDULES.register
class Constant(Schedule):
    """Stays at the peak."""

    def shape(self, progress: float, cycles: int) -> float:
        """Always 1."""
        return 1.0
