"""Mean reciprocal rank of the partner among the candidates (Voorhees 1999)."""

from __future__ import annotations

from tunesmith.evaluate.metrics import METRICS, Metric


@METRICS.register
class ReciprocalRank(Metric):
    """A prediction here is the rank of the partner, from 1."""

    reads = "rank"

    def score(self, prediction: float, reference: str) -> float:
        """1 over the rank."""
        return 1 / prediction
