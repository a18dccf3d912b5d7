"""Share of answers whose last number is the reference's, as GSM8K is scored (Cobbe et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.metrics import METRICS, Metric
from tunesmith.metrics._number import readings, same_number


@METRICS.register
class Number(Metric):
    """The share of answers whose last number (one in ``\\boxed{}`` before others) is the last of
    the reference, however it is written: 1,000 and 1000, 3/4 and 0.75, 三十五 and 35.
    """

    right_or_wrong = True

    @classmethod
    def fits(cls, references: Sequence[str]) -> bool:
        """Tells whether a reference has a number."""
        return any(map(readings, references))

    def score(self, prediction: str, reference: str) -> float:
        """Scores 1 or 0; a reference without a number is compared as text."""
        same = same_number(prediction, reference)
        return float(prediction.strip() == reference.strip() if same is None else same)
