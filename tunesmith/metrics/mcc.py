"""Matthews' correlation of two classifications, for two classes (Matthews 1975) and more (R_K,
Gorodkin 2004).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.metrics import METRICS, Metric, names_of


@METRICS.register
class Mcc(Metric):
    """How far the named classes follow the right ones, all classes and their sizes counted: 1
    always, 0 as much as chance or one class for all, below 0 against them.
    """

    reads = "choice"

    def score(self, prediction: str, reference: str) -> float:
        """Scores 1 where the class is right, else 0; the correlation itself exists only
        over items.
        """
        return float(prediction == reference)

    def statistics(self, predictions: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """Returns right or not, 1, and for each class whether it is named and whether it is right;
        [n, 2 + 2 classes]. Several labels of one item are one class together.
        """
        written = [" + ".join(sorted(names_of(choice))) for choice in predictions]
        wanted = [" + ".join(sorted(names_of(choice))) for choice in references]
        # As objects: numpy's own texts lose a NUL at their end.
        classes = np.array(sorted({*written, *wanted}), object)
        named = (np.array(written, object)[:, None] == classes).astype(np.float64)
        right = (np.array(wanted, object)[:, None] == classes).astype(np.float64)
        hits = (named * right).sum(1)
        return np.column_stack([hits, np.ones_like(hits), named, right])

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Computes the correlation between -1 and 1; 0 where all items have the same prediction, or
        the same reference.
        """
        hits = sums[..., 0]
        items = sums[..., 1]
        named, right = np.split(sums[..., 2:], 2, axis=-1)
        above = hits * items - (named * right).sum(-1)
        spreads = [items**2 - (side**2).sum(-1) for side in (named, right)]
        below = np.sqrt(np.maximum(spreads[0] * spreads[1], 0))
        return np.where(below > 0, above / np.where(below > 0, below, 1), 0.0)
