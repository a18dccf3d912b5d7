"""chrF (Popović 2015): F-score of character n-grams up to 6, recall counting twice, in percent;
needs no word splitting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tunesmith.metrics import METRICS, Metric

ORDERS = 6
BETA = 2
"""Letters of the longest n-gram, and how much more recall counts (Popović 2016)."""


@METRICS.register
class Chrf(Metric):
    """How alike answers and references are in sequences of up to six letters, 0 to 100; the same as
    sacrebleu's CHRF.
    """

    def score(self, prediction: str, reference: str) -> float:
        """Computes the chrF of the one item."""
        return float(self.value(self.statistics([prediction], [reference])[0]))

    def statistics(self, predictions: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """Counts for each order: n-grams written, n-grams wanted, matches; [n, 18]."""
        rows = [_counts(p, r) for p, r in zip(predictions, references, strict=True)]
        return np.array(rows, dtype=np.float64)

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Computes chrF between 0 and 100."""
        written, wanted, matches = np.moveaxis(sums.reshape(*sums.shape[:-1], ORDERS, 3), -1, 0)
        effective = (written > 0) & (wanted > 0)
        orders = np.maximum(effective.sum(-1), 1)
        counted = np.where(effective, matches, 0)
        precision = (counted / np.maximum(written, 1)).sum(-1) / orders
        recall = (counted / np.maximum(wanted, 1)).sum(-1) / orders
        above = 100 * (1 + BETA**2) * precision * recall
        below = BETA**2 * precision + recall
        return np.where(below > 0, above / np.where(below > 0, below, 1), 0.0)


def _counts(prediction: str, reference: str) -> list[int]:
    written = "".join(prediction.split())
    wanted = "".join(reference.split())
    row: list[int] = []
    for order in range(1, ORDERS + 1):
        ours = _ngrams(written, order)
        theirs = _ngrams(wanted, order)
        # sacrebleu counts what was written only where the reference is long enough for this order.
        row += [ours.total() if theirs else 0, theirs.total(), (ours & theirs).total()]
    return row


def _ngrams(text: str, order: int) -> Counter[str]:
    return Counter(text[start : start + order] for start in range(len(text) - order + 1))
