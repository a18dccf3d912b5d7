"""Share of answers that equal the reference, white space around them aside."""

from __future__ import annotations

from tunesmith.evaluate.metrics import METRICS, Metric


@METRICS.register
class ExactMatch(Metric):
    """1 where the written answer is the reference, else 0."""

    right_or_wrong = True

    def score(self, prediction: str, reference: str) -> float:
        """1 or 0."""
        return float(prediction.strip() == reference.strip())
