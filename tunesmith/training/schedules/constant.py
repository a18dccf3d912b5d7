"""The peak rate throughout."""

from __future__ import annotations

from tunesmith.training.schedules import SCHEDULES, Schedule


@SCHEDULES.register
class Constant(Schedule):
    """A rate that stays at the peak."""

    def shape(self, progress: float, cycles: int) -> float:
        """Returns 1 always."""
        return 1.0
