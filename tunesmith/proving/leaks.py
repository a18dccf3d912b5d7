"""Held-out items that stand inside training rows: no copies, which reading the rows already drops,
but text that a longer row quotes.

Runs of 13 tokens, as GPT-3's contamination study takes them (Brown et al. 2020, appendix C); an
item is left out where half of its own runs stand in training rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.data.items import Item

RUN = 13
"""Tokens."""
SHARE = 0.5
LEAST = 8
"""Runs of its own that an item must have to be judged: 20 tokens in a row."""
FORM_ROWS, FORM_SHARE = 10, 0.01
"""A run in more training rows than both say is form: a template, an instruction, a citation. So is
one in more than two held-out items.
"""
FORM_ITEMS = 2
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Leak:
    """A held-out item, the training row that holds most of it, and the share of its runs of tokens
    that stand in training rows.
    """

    id: str
    beside: str
    share: float


def leaks(held: Sequence[Item], train: Sequence[Item]) -> list[Leak]:
    """The items of ``held`` that training rows hold, in their order."""
    runs = [_runs(item) for item in held]
    if not held or not train:
        return []
    known_K, items_K = np.unique(np.concatenate(runs), return_counts=True)
    rows = {item.id.partition("#")[0]: item for item in train}  # a weighted row is one row
    times_K = np.zeros(len(known_K), np.int64)
    within: list[np.ndarray] = []
    for item in rows.values():
        within.append(np.flatnonzero(np.isin(known_K, _runs(item), assume_unique=True)))
        times_K[within[-1]] += 1
    form_K = (times_K > max(FORM_ROWS, FORM_SHARE * len(rows))) | (items_K > FORM_ITEMS)
    found = []
    names = list(rows)
    for item, own in zip(held, runs, strict=True):
        mine = np.searchsorted(known_K, own)
        mine = mine[~form_K[mine]]
        share = float((times_K[mine] > 0).mean()) if len(mine) >= LEAST else 0.0
        if share >= SHARE:
            shared = [len(np.intersect1d(mine, places)) for places in within]
            found.append(Leak(item.id, names[int(np.argmax(shared))], round(share, 3)))
    return found


def _runs(item: Item) -> np.ndarray:
    """Hashes of the different runs of an item's sequences, sorted."""
    sides = [
        side
        for tokens in item.tokens
        for side in (tokens.ids_T, tokens.source_ids_T)
        if side is not None and len(side) >= RUN
    ]
    found = [np.zeros(0, np.uint64)]
    for ids_T in sides:
        windows = np.lib.stride_tricks.sliding_window_view(ids_T.astype(np.uint64) + 1, RUN)
        hashes = np.zeros(len(windows), np.uint64)
        for place in range(RUN):
            hashes = (hashes ^ windows[:, place]) * _FACTOR
        found.append(hashes)
    return np.unique(np.concatenate(found))
