"""F1 over the values of JSON answers, each with its path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.metrics import METRICS, Metric
from tunesmith.metrics._json import fields


@METRICS.register
class JsonFields(Metric):
    """The F1 of the values that an answer in JSON has in common with the reference, each at its own
    place, over all rows; order in lists does not count, and what is no JSON has no values.
    """

    @classmethod
    def fits(cls, references: Sequence[str]) -> bool:
        """Tells whether a reference has a value: of no JSON at all, each F1 would be 1."""
        return any(map(fields, references))

    def score(self, prediction: str, reference: str) -> float:
        """Computes the F1 of the one item; 1 where neither has a value."""
        return float(self.value(self.statistics([prediction], [reference])[0]))

    def statistics(self, predictions: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """Counts values in common, written and wanted; [n, 3]."""
        rows = []
        for prediction, reference in zip(predictions, references, strict=True):
            written = fields(prediction)
            wanted = fields(reference)
            rows.append([(written & wanted).total(), written.total(), wanted.total()])
        return np.array(rows, dtype=np.float64)

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Computes F1 between 0 and 1."""
        both = sums[..., 1] + sums[..., 2]
        return np.where(both > 0, 2 * sums[..., 0] / np.where(both > 0, both, 1), 1.0)
