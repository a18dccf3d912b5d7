"""Pearson's correlation of numbers with the right ones; its statistics are moments, which add
up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.metrics import METRICS, Metric


@METRICS.register
class Pearson(Metric):
    """For labels that are numbers: how well predicted and right numbers lie on one line; 1
    perfectly, 0 not at all.
    """

    reads = "number"

    def score(self, prediction: Any, reference: Any) -> float:
        """Returns minus the distance; the correlation itself exists only over items."""
        return -abs(float(prediction) - float(reference))

    def statistics(self, predictions: Sequence[Any], references: Sequence[Any]) -> np.ndarray:
        """Returns 1, x, y, x², y², xy of each item."""
        x = np.array(predictions, np.float64)
        y = np.array(references, np.float64)
        return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Computes the correlation between -1 and 1."""
        x, y, xx, yy, xy = np.moveaxis(sums[..., 1:] / sums[..., :1], -1, 0)
        # What is left of a difference of equal moments is rounding.
        varies = (xx - x * x > 1e-12 * xx) & (yy - y * y > 1e-12 * yy)
        spread = np.sqrt(np.where(varies, (xx - x * x) * (yy - y * y), 1))
        return np.where(varies, (xy - x * y) / spread, 0.0)
