"""TER, translation edit rate (Snover et al. 2006) over all items as sacrebleu counts it, in
percent; Chinese and Japanese by characters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.metrics import METRICS, Metric, has_han, has_kana


@METRICS.register
class Ter(Metric):
    """How many words (Chinese: characters) must be changed or moved to make the references of the
    answers, as a share of the references' words, in percent; 0 is perfect, more than 100 is
    possible.
    """

    higher = False

    def score(self, prediction: str, reference: str) -> float:
        """Computes the rate of the one item."""
        return float(self.value(self.statistics([prediction], [reference])[0]))

    def statistics(self, predictions: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """Edits and words of the reference; [n, 2]."""
        from sacrebleu.metrics.ter import TER

        joined = "".join(references)
        asian = has_han(joined) or has_kana(joined)
        counter = TER(normalized=asian, asian_support=asian)
        scores = [
            counter.sentence_score(p, [r]) for p, r in zip(predictions, references, strict=True)
        ]
        return np.array([[score.num_edits, score.ref_length] for score in scores], dtype=np.float64)

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Computes the rate in percent; 100 for words where none were wanted, as in sacrebleu."""
        edits = sums[..., 0]
        length = sums[..., 1]
        without = np.where(edits > 0, 100.0, 0.0)
        return np.where(length > 0, 100 * edits / np.where(length > 0, length, 1), without)
