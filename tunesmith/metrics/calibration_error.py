"""Expected calibration error (Naeini et al. 2015; Guo et al. 2017, eq. 3): how far confidence is
from the share that is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.metrics import METRICS, Metric, log_shares

BINS = 15
"""Of equal width, as in Guo et al."""


@METRICS.register
class CalibrationError(Metric):
    """How far the stated probabilities are from how often they are right: 0.1 means off by ten
    points on average.
    """

    reads = "options"
    higher = False

    def score(self, prediction: Mapping[str, float], reference: Any) -> float:
        """Subtracts from the item's confidence whether it is right."""
        confidence, right = _confidence(prediction, reference)
        return confidence - right

    def statistics(
        self, predictions: Sequence[Mapping[str, float]], references: Sequence[Any]
    ) -> np.ndarray:
        """Sums by bin the confidence and the rights that fall into it, then the number of items;
        [n, 2 bins + 1].
        """
        rows = np.zeros((len(predictions), 2 * BINS + 1))
        for row, prediction, reference in zip(rows, predictions, references, strict=True):
            confidence, right = _confidence(prediction, reference)
            bin_ = min(int(np.ceil(confidence * BINS)) - 1, BINS - 1)
            start = 2 * max(bin_, 0)
            row[start] = confidence
            row[start + 1] = right
            row[-1] = 1
        return rows

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Computes the error between 0 and 1: each bin's gap, weighted by its items."""
        bins = sums[..., :-1].reshape(*sums.shape[:-1], BINS, 2)
        gaps = np.abs(bins[..., 0] - bins[..., 1])
        return gaps.sum(-1) / sums[..., -1]


def _confidence(prediction: Mapping[str, float], reference: object) -> tuple[float, float]:
    shares = log_shares(prediction)
    name = max(shares, key=lambda label: shares[label])
    return shares[name], float(name == reference)
