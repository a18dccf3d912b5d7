"""ROUGE-N: F1 of the word sequences that answer and reference share (Lin 2004)."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from tunesmith.metrics import Metric, words


class RougeN(Metric):
    """Base of ROUGE-1 and ROUGE-2."""

    size: ClassVar[int]
    """Words of a sequence; of Chinese and Japanese, characters."""

    def score(self, prediction: str, reference: str) -> float:
        """Between 0 and 1; equal to rouge_score's without stemming, with ``words`` as its
        tokenizer.
        """
        written, wanted = (self._sequences(text) for text in (prediction, reference))
        shared = (written & wanted).total()
        return 2 * shared / (written.total() + wanted.total()) if shared else 0.0

    def _sequences(self, text: str) -> Counter[tuple[str, ...]]:
        found, size = words(text), self.size
        return Counter(tuple(found[at : at + size]) for at in range(len(found) - size + 1))
