"""Share of the entities of the rows that were found (micro)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.metrics import METRICS, Metric
from tunesmith.metrics._spans import Spans, counts, parts_of


@METRICS.register
class EntityRecall(Metric):
    """How many of the entities that are there are found, place and kind."""

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
        """Computes recall between 0 and 1; 0 where no entity is wanted."""
        right, _, missed = (part.sum(-1) for part in parts_of(sums))
        return right / np.maximum(right + missed, 1)
