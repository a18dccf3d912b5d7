"""F1 of entities of each kind, averaged over the kinds."""

from __future__ import annotations

import numpy as np

from tunesmith.metrics import METRICS, Metric
from tunesmith.metrics._spans import count_kinds, f1, parts_of, score_text


@METRICS.register
class EntityMacroF1(Metric):
    """The F1 of each kind of entity, averaged so that a rare kind counts as much as a common
    one.
    """

    reads = "spans"

    score, statistics = score_text, count_kinds

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Averages F1, between 0 and 1, over the kinds that are given or wanted; a kind absent from
        a resample is left out there.
        """
        right, wrong, missed = parts_of(sums)
        present = right + wrong + missed > 0
        return (f1(right, wrong, missed) * present).sum(-1) / np.maximum(present.sum(-1), 1)
