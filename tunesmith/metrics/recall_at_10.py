"""Share of texts whose partner is among the ten nearest candidates."""

from __future__ import annotations

from tunesmith.metrics import METRICS, Metric


@METRICS.register
class RecallAt10(Metric):
    """For embeddings: the share of texts whose partner is among the ten nearest candidates."""

    reads = "rank"
    right_or_wrong = True

    def score(self, prediction: float, reference: str) -> float:
        """Scores 1 or 0, by ``prediction``, the rank of the partner, from 1."""
        return float(prediction <= 10)
