"""Mean reciprocal rank of the partner among the candidates (Voorhees 1999)."""

from __future__ import annotations

from tunesmith.metrics import METRICS, Metric


@METRICS.register
class ReciprocalRank(Metric):
    """For embeddings: 1 over the place at which a text finds its partner, on average; 1 where it
    always comes first.
    """

    reads = "rank"

    def score(self, prediction: float, reference: str) -> float:
        """Computes 1 over ``prediction``, the rank of the partner, from 1."""
        return 1 / prediction
