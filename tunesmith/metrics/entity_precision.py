"""Share of the entities that were named which are right (micro)."""

from __future__ import annotations

import numpy as np

from tunesmith.metrics import METRICS, Metric
from tunesmith.metrics._spans import count_kinds, parts_of, score_text


@METRICS.register
class EntityPrecision(Metric):
    """How many of the entities that are named are right, place and kind."""

    reads = "spans"

    score, statistics = score_text, count_kinds

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Computes precision between 0 and 1; 0 where no entity is given."""
        right, wrong, _ = (part.sum(-1) for part in parts_of(sums))
        return right / np.maximum(right + wrong, 1)
