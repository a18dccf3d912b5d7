"""ROUGE-1 (Lin 2004); Chinese and Japanese by characters."""

from __future__ import annotations

from tunesmith.metrics import METRICS, Metric
from tunesmith.metrics._rouge import rouge_n


@METRICS.register
class Rouge1(Metric):
    """How many single words (Chinese: characters) answer and reference share, 0 to 1."""

    def score(self, prediction: str, reference: str) -> float:
        """Computes ROUGE-1 between 0 and 1."""
        return rouge_n(prediction, reference, 1)
