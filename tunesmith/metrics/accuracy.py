"""Share of items whose likeliest option is the right one; for answers that come from a small
set.
"""

from __future__ import annotations

from tunesmith.metrics import METRICS, Metric


@METRICS.register
class Accuracy(Metric):
    """The share of rows for which the likeliest of the possible answers is the right one."""

    reads = "choice"
    right_or_wrong = True

    def score(self, prediction: str, reference: str) -> float:
        """Scores 1 or 0."""
        return float(prediction == reference)
