"""Share of answers that equal the reference, white space around them aside."""

from __future__ import annotations

from tunesmith.metrics import METRICS, Metric


@METRICS.register
class ExactMatch(Metric):
    """The share of rows whose written answer is the reference, letter by letter."""

    right_or_wrong = True

    def score(self, prediction: str, reference: str) -> float:
        """Scores 1 or 0."""
        return float(prediction.strip() == reference.strip())
