"""F1 of entities over all kinds together (micro)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.metrics import METRICS, Metric
from tunesmith.metrics._spans import Spans, counts, f1, parts_of


@METRICS.register
class EntityF1(Metric):
    """The F1 of entities: right where both place and kind are; 1 is perfect."""

    reads = "spans"

    def score(self, prediction: Spans, reference: Spans) -> float:
        """Scores one text; 1 where there is nothing to find and nothing was found."""
        if not prediction and not reference:
            return 1.0
        return self.over([prediction], [reference])

    def statistics(self, predictions: Sequence[Spans], references: Sequence[Spans]) -> np.ndarray:  # type: ignore[override]
        """Counts for each kind: right, made up, missed; [n, 3 kinds]."""
        return counts(predictions, references)

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Computes F1 between 0 and 1."""
        return f1(*(part.sum(-1) for part in parts_of(sums)))
