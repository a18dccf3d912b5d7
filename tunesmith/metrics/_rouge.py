"""ROUGE-N: F1 of the word sequences that answer and reference share (Lin 2004)."""

from __future__ import annotations

from collections import Counter

from tunesmith.metrics import words


def rouge_n(prediction: str, reference: str, size: int) -> float:
    """Computes ROUGE-N between 0 and 1, over sequences of ``size`` words (Chinese and Japanese:
    characters); equal to rouge_score's without stemming, with ``words`` as its tokenizer.
    """
    written = _sequences(prediction, size)
    wanted = _sequences(reference, size)
    shared = (written & wanted).total()
    return 2 * shared / (written.total() + wanted.total()) if shared else 0.0


def _sequences(text: str, size: int) -> Counter[tuple[str, ...]]:
    terms = words(text)
    return Counter(tuple(terms[at : at + size]) for at in range(len(terms) - size + 1))
