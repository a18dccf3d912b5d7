"""BLEU (Papineni et al. 2002) over all items as sacrebleu counts it, in percent; Chinese with its
``zh`` tokenizer, Japanese by characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.metrics import METRICS, Metric, has_han, has_kana

ORDERS = 4  # words of the longest n-gram (Papineni et al. 2002)


@METRICS.register
class Bleu(Metric):
    """How many of the word sequences (one to four words) of the answers stand in the references,
    over all rows, 0 to 100.
    """

    def score(self, prediction: str, reference: str) -> float:
        """Computes sentence BLEU with sacrebleu's effective order, for reading item by item; the
        mean of these is not BLEU.
        """
        return float(_counter([reference]).sentence_score(prediction, [reference]).score)

    def statistics(self, predictions: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """Counts both lengths, then matches and n-grams of each order [n, 10]; the tokenizer is
        chosen once, from all references.
        """
        counter = _counter(references)
        scores = [
            counter.sentence_score(p, [r]) for p, r in zip(predictions, references, strict=True)
        ]
        return np.array(
            [[s.sys_len, s.ref_len, *s.counts, *s.totals] for s in scores], dtype=np.float64
        )

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Computes BLEU between 0 and 100, with the exponential smoothing of mteval that sacrebleu
        uses by default.
        """
        written = sums[..., 0]
        wanted = sums[..., 1]
        matches = sums[..., 2 : 2 + ORDERS]
        totals = sums[..., 2 + ORDERS :]
        missed = np.cumsum((matches == 0) & (totals > 0), axis=-1)
        precisions = np.where(matches > 0, matches, 0.5**missed) / np.maximum(totals, 1)
        logs = np.log(precisions).mean(-1)
        brevity = np.exp(np.minimum(0.0, 1 - wanted / np.maximum(written, 1)))
        countable = (matches.sum(-1) > 0) & (totals > 0).all(-1)
        return np.where(countable, 100 * brevity * np.exp(logs), 0.0)


def _counter(references: Sequence[str]) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    # By a single Japanese name among the rows, letters of English would be counted as words, while
    # ``zh`` counts English as ``13a`` does.
    written = [reference for reference in references if any(map(str.isalpha, reference))]
    japanese = sum(map(has_kana, written))
    if 2 * japanese > len(written):
        tokenizer = "char"
    else:
        tokenizer = "zh" if japanese or any(map(has_han, written)) else "13a"
    return BLEU(tokenize=tokenizer, effective_order=True)
