"""Share of texts whose partner is the nearest candidate."""

from __future__ import annotations

from tunesmith.evaluate.metrics import METRICS, Metric


@METRICS.register
class RecallAt1(Metric):
    """A prediction here is the rank of the partner, from 1."""

    reads = "rank"
    right_or_wrong = True

    def score(self, prediction: float, reference: str) -> float:
        """1 or 0."""
        return float(prediction <= 1)
