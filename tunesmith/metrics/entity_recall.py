"""Share of the entities of the rows that were found (micro)."""

from __future__ import annotations

import numpy as np

from tunesmith.metrics import METRICS, Metric
from tunesmith.metrics._spans import count_kinds, parts_of, score_text


@METRICS.register
class EntityRecall(Metric):
    """How many of the entities that are there are found, place and kind."""

    reads = "spans"

    score, statistics = score_text, count_kinds

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Computes recall between 0 and 1; 0 where no entity is wanted."""
        right, _, missed = (part.sum(-1) for part in parts_of(sums))
        return right / np.maximum(right + missed, 1)
