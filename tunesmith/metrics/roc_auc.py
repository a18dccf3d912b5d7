"""Area under the ROC curve (scikit-learn's): how often a row of a class gets a higher score for it
than a row of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.metrics import METRICS, Metric, log_shares, names_of


@METRICS.register
class RocAuc(Metric):
    """How often a row of a class scores higher for it than a row of another, averaged over classes;
    one half is chance.
    """

    reads = "options"
    adds_up = False

    def score(self, prediction: Mapping[str, float], reference: Any) -> float:
        """Returns the probability of the right class; for several labels the mean of theirs."""
        shares = log_shares(prediction)
        wanted = [shares[name] for name in names_of(reference) if name in shares]
        return float(np.mean(wanted)) if wanted else 0.0

    def over(self, predictions: Sequence[Mapping[str, float]], references: Sequence[Any]) -> float:
        """Averages over classes, each against the rest; nan where no class has rows that belong to
        it and rows that do not.
        """
        from sklearn.metrics import roc_auc_score

        areas = []
        several = any(isinstance(reference, list) for reference in references)
        shares = [prediction if several else log_shares(prediction) for prediction in predictions]
        for name in predictions[0]:
            right = [name in names_of(reference) for reference in references]
            if 0 < sum(right) < len(right):
                areas.append(roc_auc_score(right, [share_of[name] for share_of in shares]))
        return float(np.mean(areas)) if areas else float("nan")
