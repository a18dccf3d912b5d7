"""Held-out items that stand inside training rows: no copies, which reading the rows already drops,
but text that a longer row quotes.

Runs of 13 words (Chinese: characters), as GPT-3's contamination study takes them (Brown et al.
2020, appendix C); an item is left out where half of its own runs stand in one training row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from tunesmith.metrics import words

RUN = 13
"""Words; the size by which GPT-3's authors looked for their benchmarks (Brown et al. 2020, appendix
C).
"""
SHARE = 0.5
LEAST = 8
"""Runs of its own that an item must have to be judged: 20 words in a row."""
FORM_ROWS, FORM_SHARE = 10, 0.01
"""A run in more training rows than both say is form: a template, an instruction, a citation. So is
one in more than two held-out items.
"""
FORM_ITEMS = 2
# 2^64 divided by the golden ratio: products with it spread over all bits.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Leak:
    """A held-out item, the training row that holds most of it, and the share of the item's own
    runs of words that stand there.
    """

    id: str
    beside: str
    share: float


class Named(Protocol):
    """Anything with a name of its own: an item, a row of a file."""

    @property
    def id(self) -> str:
        """File and row."""
        ...


One = TypeVar("One", bound=Named)


def leaks(
    held: Sequence[One], train: Sequence[One], texts: Callable[[One], Sequence[str]]
) -> list[Leak]:
    """Returns the items of ``held`` that a training row contains, in their order; ``texts`` gives
    the texts of an item.
    """
    runs = [_runs(texts(item)) for item in held]
    if not held or not train:
        return []
    known_K, items_K = np.unique(np.concatenate(runs), return_counts=True)
    rows = {item.id.partition("#")[0]: item for item in train}  # a weighted row is one row
    times_K = np.zeros(len(known_K), np.int64)
    within: list[np.ndarray] = []
    for item in rows.values():
        within.append(_places(known_K, _runs(texts(item))))
        times_K[within[-1]] += 1
    form_K = (times_K > max(FORM_ROWS, FORM_SHARE * len(rows))) | (items_K > FORM_ITEMS)
    leaks_found = []
    names = list(rows)
    for item, run in zip(held, runs, strict=True):
        mine = np.searchsorted(known_K, run)
        mine = mine[~form_K[mine]]
        if len(mine) < LEAST or (times_K[mine] > 0).mean() < SHARE:
            continue
        shared = [len(np.intersect1d(mine, places)) for places in within]
        share = max(shared) / len(mine)
        if share >= SHARE:
            leaks_found.append(Leak(item.id, names[int(np.argmax(shared))], round(share, 3)))
    return leaks_found


def _places(known_K: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Returns the indices in ``known_K`` of those runs that are known."""
    if not len(known_K):
        return np.zeros(0, np.int64)
    places = np.minimum(np.searchsorted(known_K, runs), len(known_K) - 1)
    return places[known_K[places] == runs]


def _runs(texts: Sequence[str]) -> np.ndarray:
    """Hashes of the different runs of an item's texts, sorted."""
    hashes_of = [np.zeros(0, np.uint64)]
    for text in texts:
        said = np.array([hash(word) for word in words(text)], np.int64).astype(np.uint64)
        if len(said) < RUN:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(said, RUN)
        hashes = np.zeros(len(windows), np.uint64)
        for index in range(RUN):
            # Not a sum: the same words in another order are another run.
            hashes = (hashes ^ windows[:, index]) * _FACTOR
        hashes_of.append(hashes)
    return np.unique(np.concatenate(hashes_of))
