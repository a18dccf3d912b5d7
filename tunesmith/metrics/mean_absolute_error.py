"""How far a number is from the right one, on average, in the labels' own unit."""

from __future__ import annotations

from typing import Any

from tunesmith.metrics import METRICS, Metric


@METRICS.register
class MeanAbsoluteError(Metric):
    """For labels that are numbers: how far the predicted number is from the right one, on
    average.
    """

    reads = "number"
    higher = False

    def score(self, prediction: Any, reference: Any) -> float:
        """Computes the distance."""
        return abs(float(prediction) - float(reference))
