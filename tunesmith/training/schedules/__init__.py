"""The learning rate over the run, as a factor of its peak: one shape a file, a pure function of the
step.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from tunesmith.settings.family import SCHEDULES
from tunesmith.settings.spec import Spec

__all__ = ["SCHEDULES", "Schedule", "warmup_steps"]


class Schedule:
    """Base of the schedules: a linear warm-up, then ``shape``."""

    name: ClassVar[str]

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def factor(self, step: int, total: int, warmup: int, cycles: int = 1) -> float:
        """Returns the factor of the peak at update ``step`` (from 0) of ``total``; the first of
        ``warmup`` updates is not 0.
        """
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return self.shape((step - warmup) / max(1, total - warmup), cycles)

    def shape(self, progress: float, cycles: int) -> float:
        """Returns the factor after warm-up; ``progress`` runs from 0 to just below 1."""
        raise AssertionError(f"schedule {self.name} has no shape")


def warmup_steps(warmup: float, total: int) -> int:
    """Updates of warm-up: a share of ``total`` below 1, a number from 1 on."""
    return min(total, math.ceil(warmup * total) if warmup < 1 else round(warmup))
