"""Share of answers that a program can read as JSON (RFC 8259)."""

from __future__ import annotations

from tunesmith.metrics import METRICS, Metric
from tunesmith.metrics._json import read


@METRICS.register
class JsonValid(Metric):
    """The share of answers that are JSON and nothing else; lines of three backticks around it are
    allowed.
    """

    right_or_wrong = True

    def score(self, prediction: str, reference: str) -> float:
        """Scores 1 or 0."""
        return float(read(prediction) is not None)
