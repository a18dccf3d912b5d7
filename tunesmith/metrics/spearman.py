"""Spearman's rank correlation of numbers with the right ones; every draw of items is ranked
anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.metrics import METRICS, Metric


@METRICS.register
class Spearman(Metric):
    """For grades of which only the order counts: how alike the two orders are; 1 the same, 0
    unrelated.
    """

    reads, adds_up, redrawn = "number", False, True

    def score(self, prediction: Any, reference: Any) -> float:
        """Returns minus the distance; the correlation itself exists only over items."""
        return -abs(float(prediction) - float(reference))

    def over(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        """Computes the correlation between -1 and 1."""
        return float(
            self.over_draws(np.array([predictions], float), np.array([references], float))[0]
        )

    def over_draws(self, predictions: np.ndarray, references: np.ndarray) -> np.ndarray:
        """Computes Pearson's correlation of the ranks, ties in the middle."""
        from scipy.stats import rankdata

        x, y = (
            rankdata(given, axis=1) - (given.shape[1] + 1) / 2
            for given in (predictions, references)
        )
        spread = np.sqrt((x * x).sum(1) * (y * y).sum(1))
        return np.where(spread > 0, (x * y).sum(1) / np.where(spread > 0, spread, 1), 0.0)
