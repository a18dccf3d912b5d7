"""F1 of each option, averaged over the options that occur among the references, rare ones counting
as much as common ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.metrics import METRICS, Metric, names_of


@METRICS.register
class MacroF1(Metric):
    """The F1 of each class, averaged so that a rare class counts as much as a common one; 1 is
    perfect.
    """

    reads = "choice"

    def score(self, prediction: str, reference: str) -> float:
        """Scores 1 where the option is right, else 0; the F1 itself exists only over items."""
        return float(prediction == reference)

    def statistics(self, predictions: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """Counts for each option that is some item's reference: hit, false alarm, miss; [n, 3
        options].
        """
        options = sorted({name for reference in references for name in names_of(reference)})
        chosen = np.array(
            [[option in names_of(prediction) for option in options] for prediction in predictions],
            dtype=np.float64,
        )
        right = np.array(
            [[option in names_of(reference) for option in options] for reference in references],
            dtype=np.float64,
        )
        return np.stack(
            [chosen * right, chosen * (1 - right), (1 - chosen) * right], axis=-1
        ).reshape(len(references), -1)

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Averages F1, between 0 and 1. An option without an item in a resample is left out there,
        for all contenders alike.
        """
        hits, alarms, misses = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 3), -1, 0)
        f1 = 2 * hits / np.maximum(2 * hits + alarms + misses, 1)
        present = hits + misses > 0
        return (f1 * present).sum(-1) / np.maximum(present.sum(-1), 1)
