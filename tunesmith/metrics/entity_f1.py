"""F1 of entities over all kinds together (micro)."""

from __future__ import annotations

import numpy as np

from tunesmith.metrics import METRICS, Metric
from tunesmith.metrics._spans import count_kinds, f1, parts_of, score_text


@METRICS.register
class EntityF1(Metric):
    """The F1 of entities: right where both place and kind are; 1 is perfect."""

    reads = "spans"

    score, statistics = score_text, count_kinds

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Computes F1 between 0 and 1."""
        return f1(*(part.sum(-1) for part in parts_of(sums)))
