"""Distinct-2: how varied the answers are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.metrics import METRICS, Metric
from tunesmith.metrics._distinct import distinct, share


@METRICS.register
class Distinct2(Metric):
    """The share of pairs of neighbouring words (Chinese: characters) in all answers together that
    are different; 1 where no pair is said twice.
    """

    def score(self, prediction: str, reference: str) -> float:
        """Computes the share in one answer."""
        return float(share(distinct([prediction], 2)[0]))

    def statistics(self, predictions: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """Counts what each answer adds, and all of its own; [n, 2]."""
        return distinct(predictions, 2)

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Computes the share between 0 and 1."""
        return share(sums)
