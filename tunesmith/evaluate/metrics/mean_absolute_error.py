"""How far a number is from the right one, on average, in the labels' own unit."""

from __future__ import annotations

from tunesmith.evaluate.metrics import METRICS, Metric


@METRICS.register
class MeanAbsoluteError(Metric):
    """For labels that are numbers."""

    reads = "number"
    higher = False

    def score(self, prediction: float, reference: float) -> float:
        """The distance."""
        return abs(float(prediction) - float(reference))
