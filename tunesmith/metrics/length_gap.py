"""How far the lengths of the answers are from those of the references."""

from __future__ import annotations

import math

from tunesmith.metrics import METRICS, Metric, words


@METRICS.register
class LengthGap(Metric):
    """How far an answer is from as long as the reference, in doublings, the mean over the rows: 1
    is twice or half as many words (Chinese: characters).
    """

    higher = False

    def score(self, prediction: str, reference: str) -> float:
        """Computes |log2| of the ratio of the two lengths, each with one added, so that an empty
        answer has a length.
        """
        written, wanted = (len(words(text)) + 1 for text in (prediction, reference))
        return abs(math.log2(written / wanted))
