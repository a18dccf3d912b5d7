"""F1 of entities of each kind, averaged over the kinds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.metrics import METRICS, Metric
from tunesmith.metrics._spans import Spans, counts, f1, parts_of


@METRICS.register
class EntityMacroF1(Metric):
    """The F1 of each kind of entity, averaged so that a rare kind counts as much as a common
    one.
    """

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
        """Averages F1, between 0 and 1, over the kinds that are given or wanted; a kind absent from
        a resample is left out there.
        """
        right, wrong, missed = parts_of(sums)
        present = right + wrong + missed > 0
        return (f1(right, wrong, missed) * present).sum(-1) / np.maximum(present.sum(-1), 1)
