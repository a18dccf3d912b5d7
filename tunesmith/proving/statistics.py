"""Paired statistics of two contenders on the same items: bootstrap interval, McNemar's exact test,
what n items can show.

Bootstrap: Efron & Tibshirani 1993, ch. 13, percentile interval, as Koehn 2004 uses it for two
    systems.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
FEWEST = 20
"""Below this many items a percentile interval is too narrow (at 10 it holds the truth 91 times in
100): no verdict.
"""
POWER = 1.959964 + 0.841621
"""Normal quantiles of a two-sided 5 % test and of 80 % power."""
DISCORDANT = 6
"""The fewest items that must all change one way for McNemar's exact test to fall under 0.05: 2 /
2**6 = 0.031.
"""

Key = TypeVar("Key")
Values = Callable[[np.ndarray], np.ndarray]


def resample(
    tables: Mapping[Key, np.ndarray], *, seed: int, resamples: int = RESAMPLES
) -> dict[Key, np.ndarray]:
    """Sums of each table's rows [n, S] over the same random draws of n items with replacement:
    [resamples, S].
    """
    items = {len(table) for table in tables.values()}
    assert len(items) == 1, f"paired tables hold the same items, got {sorted(items)}"
    n = items.pop()
    generator = np.random.default_rng(seed)
    sums: dict[Key, list[np.ndarray]] = {key: [] for key in tables}
    chunk = max(1, min(resamples, 4_000_000 // n))
    for start in range(0, resamples, chunk):
        times = generator.multinomial(
            n, np.full(n, 1 / n), size=min(chunk, resamples - start)
        ).astype(np.float64)
        for key, table in tables.items():
            sums[key].append(times @ table)
    return {key: np.concatenate(parts) for key, parts in sums.items()}


@dataclass(frozen=True)
class Interval:
    """A difference between two contenders, its 95 % interval and its standard error."""

    difference: float
    low: float
    high: float
    error: float


def interval(difference: float, differences: np.ndarray) -> Interval:
    """The percentile interval around ``difference`` from its resampled values; those over no
    countable item are left out.
    """
    kept = differences[np.isfinite(differences)]
    if kept.size < 2:
        return Interval(difference, -math.inf, math.inf, math.inf)
    low, high = np.quantile(kept, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(difference, float(low), float(high), float(kept.std(ddof=1)))


def paired(
    first: np.ndarray, second: np.ndarray, value: Values, *, seed: int, resamples: int = RESAMPLES
) -> Interval:
    """The interval of ``value(first) - value(second)`` from per-item statistics [n, S] of the same
    items.
    """
    sums = resample({"first": first, "second": second}, seed=seed, resamples=resamples)
    difference = float(value(first.sum(0)) - value(second.sum(0)))
    return interval(difference, value(sums["first"]) - value(sums["second"]))


@dataclass(frozen=True)
class McNemar:
    """Items that only the first got right, items that only the second did, and the two-sided exact
    p-value.
    """

    only_first: int
    only_second: int
    p: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """McNemar's exact test on right (1) and wrong (0): a fair coin over the items on which the two
    differ.
    """
    only_first, only_second = int((first > second).sum()), int((second > first).sum())
    flips, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(flips, k) for k in range(fewer + 1))
    return McNemar(only_first, only_second, min(1.0, 2 * tail / 2**flips))


def smallest_effect(error: float, items: int, *, right_or_wrong: bool) -> float:
    """The difference that this many items would show 8 times in 10: (1.96 + 0.84) standard errors
    (Card et al. 2020, section 3).

    Where items are right or wrong it is at least 6 of them, the fewest that the exact test can call
    a difference.
    """
    effect = POWER * error
    return max(effect, DISCORDANT / items) if right_or_wrong else effect


def items_needed(difference: float, items: int, smallest: float) -> int | None:
    """How many items would show this difference 8 times in 10, as errors shrink with the root; None
    for no difference.
    """
    if difference == 0 or not (math.isfinite(difference) and math.isfinite(smallest)):
        return None
    return max(FEWEST, math.ceil(items * (smallest / abs(difference)) ** 2))
