"""A straight line from the peak to 0."""

from __future__ import annotations

from tunesmith.training.schedules import SCHEDULES, Schedule


@SCHEDULES.register
class Linear(Schedule):
    """A fall in a straight line to 0."""

    def shape(self, progress: float, cycles: int) -> float:
        """Computes 1 - progress."""
        return 1.0 - progress
