"""The chance that a desirable answer has a higher implicit reward than an undesirable one: the area
under the ROC curve.

Its interval resamples the structural components of DeLong et al. 1988: an item's share of the other
kind that it beats.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.metrics import METRICS, Metric

DESIRABLE = "desirable"


@METRICS.register
class RewardAuc(Metric):
    """How often a desirable answer gained more likelihood over the base than an undesirable one;
    one half is chance.
    """

    reads = "judged"

    def score(self, prediction: float, reference: str) -> float:
        """Scores 1 where ``prediction``, log p - log p_base (nats), has the sign that the reference
        wants; a half where it is 0.
        """
        sign = prediction if reference == DESIRABLE else -prediction
        return float((sign > 0) + 0.5 * (sign == 0))

    def statistics(self, predictions: Sequence[float], references: Sequence[str]) -> np.ndarray:
        """Returns component and count of the desirable, then of the undesirable items, then the
        area over all, and 1.
        """
        rewards = np.asarray(predictions, dtype=np.float64)
        good = np.array([reference == DESIRABLE for reference in references])
        wins = (rewards[good, None] > rewards[None, ~good]) + 0.5 * (
            rewards[good, None] == rewards[None, ~good]
        )
        table = np.zeros((len(rewards), 6))
        table[:, 5] = 1
        if wins.size:
            table[good, 0], table[good, 1] = wins.mean(1), 1
            table[~good, 2], table[~good, 3] = wins.mean(0), 1
            table[:, 4] = wins.mean()
        return table

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Computes the area; over a resample its first-order part, the mean of both components less
        the area; nan without both kinds.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            return (
                sums[..., 0] / sums[..., 1]
                + sums[..., 2] / sums[..., 3]
                - sums[..., 4] / sums[..., 5]
            )
