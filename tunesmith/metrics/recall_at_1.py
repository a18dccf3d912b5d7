"""Share of texts whose partner is the nearest candidate."""

from __future__ import annotations

from tunesmith.metrics import METRICS, Metric


@METRICS.register
class RecallAt1(Metric):
    """For embeddings: the share of texts whose partner is the nearest of all candidates."""

    reads = "rank"
    right_or_wrong = True

    def score(self, prediction: float, reference: str) -> float:
        """Scores 1 or 0, by ``prediction``, the rank of the partner, from 1."""
        return float(prediction <= 1)
