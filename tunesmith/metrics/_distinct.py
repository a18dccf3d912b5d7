"""Distinct n-grams over all answers (Li et al. 2016, section 5.2), as sums over the answers: an
n-gram that stands c times in all of them adds 1/c each time, so that it adds up to one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tunesmith.metrics import words


def distinct(predictions: Sequence[str], size: int) -> np.ndarray:
    """Counts what each answer adds to the different n-grams, and all of its own; [n, 2]."""
    said = [_grams(words(prediction), size) for prediction in predictions]
    often = Counter(gram for grams in said for gram in grams)
    return np.array(
        [[sum(1 / often[gram] for gram in grams), len(grams)] for grams in said], np.float64
    )


def share(sums: np.ndarray) -> np.ndarray:
    """Computes the share of different ones, 1 where there is none."""
    every = sums[..., 1]
    return np.where(every > 0, sums[..., 0] / np.where(every > 0, every, 1), 1.0)


def _grams(each: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(each[at : at + size]) for at in range(len(each) - size + 1)]
