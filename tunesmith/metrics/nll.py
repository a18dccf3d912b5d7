"""Negative log-likelihood of the held-out answers per trained token (nats), the training loss on
rows that were not trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.metrics import METRICS, Metric


@METRICS.register
class Nll(Metric):
    """The loss a token of the reference answers: how surprised the model is by them."""

    reads = "nll"
    higher = False

    def score(self, prediction: tuple[float, float], reference: str) -> float:
        """Averages over the item; ``prediction`` is the summed negative log-likelihood and its
        total weight.
        """
        total, weight = prediction
        return total / weight

    def statistics(
        self, predictions: Sequence[tuple[float, float]], references: Sequence[str]
    ) -> np.ndarray:
        """Returns sum and weight, so that every token counts the same whatever the length of its
        answer.
        """
        return np.array(predictions, dtype=np.float64)
