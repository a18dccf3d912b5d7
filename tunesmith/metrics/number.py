"""Share of answers whose last number is the reference's, as GSM8K is scored (Cobbe et al. 2021)."""

from __future__ import annotations

import math

from tunesmith.metrics import METRICS, Metric
from tunesmith.metrics._number import number_in

NEAR = 1e-6
"""Largest difference, as a share of the right number: 0.333333 is a third."""


@METRICS.register
class Number(Metric):
    """The share of answers whose last number (one in ``\\boxed{}`` before others) is the last of
    the reference, however it is written: 1,000 and 1000, 3/4 and 0.75.
    """

    right_or_wrong = True

    def score(self, prediction: str, reference: str) -> float:
        """Scores 1 or 0; a reference without a number is compared as text."""
        wanted, written = number_in(reference), number_in(prediction)
        if wanted is None:
            return float(prediction.strip() == reference.strip())
        return float(
            written is not None and math.isclose(written, wanted, rel_tol=NEAR, abs_tol=1e-9)
        )
