"""Paired statistics of two contenders on the same items: intervals that hold at few items, few
changes and skewed scores, McNemar's exact test, Holm's correction, what n items can show.

Right or wrong: Tango 1998, as Fagerland, Lydersen & Laake 2014 recommend. All else is drawn:
Efron & Tibshirani 1993, chapters 13 (paired, as Koehn 2004 uses it for two systems) and 14.3
(BCa); few items: Hesterberg 2015, section 4.3. Why not BCa alone: ``interval``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from tunesmith.data.split import DECIDES

# With so many draws the share beyond an end of an interval is 2.5 % ± 0.3 (two standard errors).
RESAMPLES = 10_000
LEVEL = 0.95
FEWEST = DECIDES
"""Below this many items, or groups of items, an interval of skewed scores is too narrow (of 4
groups it holds the truth 90 times in 100): no verdict.
"""
POWER = 1.959964 + 0.841621
"""Normal quantiles of a two-sided 5 % test and of 80 % power."""
DISCORDANT = 6
"""The fewest items that must all change one way for McNemar's exact test to fall under 0.05: 2 /
2**6 = 0.031.
"""

Key = TypeVar("Key")
Values = Callable[[np.ndarray], np.ndarray]
Scores = tuple[np.ndarray, np.ndarray]
"""Of two contenders, [n] each, on the same single items: right (1) or wrong (0)."""


def resample(
    tables: Mapping[Key, np.ndarray], *, seed: int, resamples: int = RESAMPLES
) -> dict[Key, np.ndarray]:
    """Sums each table's rows [n, S] over the same random draws of n items with replacement:
    [resamples, S].
    """
    items = {len(table) for table in tables.values()}
    assert len(items) == 1, f"paired tables hold the same items, got {sorted(items)}"
    n = items.pop()
    generator = np.random.default_rng(seed)
    sums: dict[Key, list[np.ndarray]] = {key: [] for key in tables}
    # Counts of 32 MB at a time: all of them, for many items, would be gigabytes.
    chunk = max(1, min(resamples, 4_000_000 // n))
    for start in range(0, resamples, chunk):
        # How often each item is drawn, not which: one product with a table then sums all draws.
        times = generator.multinomial(
            n, np.full(n, 1 / n), size=min(chunk, resamples - start)
        ).astype(np.float64)
        for key, table in tables.items():
            sums[key].append(times @ table)
    return {key: np.concatenate(parts) for key, parts in sums.items()}


@dataclass(frozen=True)
class Interval:
    """A difference between two contenders, its 95 % interval, its standard error, the two-sided
    p-value at which the interval would touch zero, and how it was made.
    """

    difference: float
    low: float
    high: float
    error: float
    p: float
    by: Literal["score", "bootstrap", "t"] = "bootstrap"


def single_scores(first_US: np.ndarray, second_US: np.ndarray) -> Scores | None:
    """Returns what each contender scored where each unit is one item that is right (1) or wrong
    (0), from the statistics [U, 2] of the same units; None for others. Items that one of them lacks
    are left out.
    """
    tables = np.stack([first_US, second_US])
    if tables.shape[2] != 2 or not np.isin(tables, (0.0, 1.0)).all():
        return None
    both_U = tables[..., 1].min(0) > 0
    return (first_US[both_U, 0], second_US[both_U, 0]) if both_U.any() else None


def score_interval(first: np.ndarray, second: np.ndarray) -> Interval:
    """Computes the interval of the difference of two shares from the same items, right (1) or wrong
    (0): all differences that the score test of Tango 1998 does not reject, read by Student's t.

    Read by a normal, as in the paper, a false "improved" comes in up to 2.7 % of the draws; by
    Student's t in up to 2.5 % (all outcomes of 20 to 300 items with their chances).
    """
    from scipy.special import stdtr, stdtrit

    gained = int((first > second).sum())
    lost = int((second > first).sum())
    items = len(first)
    difference = (gained - lost) / items
    changed = gained + lost
    if items < 2:
        return Interval(difference, -math.inf, math.inf, math.inf, 1.0, "score")
    low, high = score_bounds(gained, lost, items, float(stdtrit(items - 1, (1 + LEVEL) / 2)))
    error = math.sqrt((changed / items - difference**2) / (items - 1))
    touches = abs(gained - lost) / math.sqrt(max(changed, 1))
    return Interval(difference, low, high, error, 2 * float(stdtr(items - 1, -touches)), "score")


def score_bounds(gained: int, lost: int, items: int, quantile: float) -> tuple[float, float]:
    """Finds the lowest and the highest difference of shares that the score test at this quantile
    does not reject, by halving what lies between the difference that was seen and the ends.
    """
    bounds = []
    for end in (-1.0, 1.0):
        inside = (gained - lost) / items
        for _ in range(60):  # a double has 53 bits
            middle = (inside + end) / 2
            # From the likeliest share that is lost, were this difference the truth.
            half = gained + lost - (2 * items - gained + lost) * middle
            root = math.sqrt(half**2 + 8 * items * lost * middle * (1 - middle))
            spread = (half + root) / 2 + items * middle * (1 - middle)
            if (gained - lost - items * middle) ** 2 > quantile**2 * spread:
                end = middle
            else:
                inside = middle
        bounds.append(inside)
    return bounds[0], bounds[1]


def effective_units(size_U: np.ndarray) -> float:
    """Returns how many groups of one size would tell as much as these (Carter, Schnepel &
    Steigerwald 2017, where the items of a group are all alike).
    """
    return float(size_U.sum() ** 2 / (size_U**2).sum())


def interval(
    difference: float,
    drawn_R: np.ndarray,
    without_U: np.ndarray,
    *,
    single: Scores | None = None,
    carried_by: float | None = None,
) -> Interval:
    """Computes the interval around ``difference`` from its values over R resamples, and with each
    of the U units (items, or groups of items) left out; values over no countable item are not used.
    ``single`` are the scores of single items that are right or wrong: theirs is the score interval.
    ``carried_by`` is the number of units that its spread comes from, where some are empty or large:
    the fewer, the wider Student's t.

    Where few answers change, a resample cannot show what was not drawn: of 20 items of which 5 %
    are gained, a drawn interval holds the truth 64 times in 100, the score interval always.

    Each drawn bound is the farther of two. BCa corrects for skew, but under equal contenders with
    heavy-tailed scores it holds the truth only 85 times in 100 at 20 items and 90 at 100; Student's
    interval from the jackknife error holds it 95 times there, and 90 to 91 under skewed
    differences, where BCa is better. Together they hold 93 to 97 (``benchmarks/coverage.py``).
    """
    from scipy.special import stdtr, stdtrit

    if single is not None:
        return score_interval(*single)
    drawn_R, without_U = drawn_R[np.isfinite(drawn_R)], without_U[np.isfinite(without_U)]
    units = len(without_U)
    if drawn_R.size < 2 or units < 2:
        return Interval(difference, -math.inf, math.inf, math.inf, 1.0)
    # What a unit adds: its jackknife pseudo-value, but for a constant factor.
    gain_U = without_U.mean() - without_U
    error = math.sqrt((units - 1) / units * float((gain_U**2).sum()))
    freedom = min(units, carried_by or units) - 1
    quantile = float(stdtrit(freedom, (1 + LEVEL) / 2))
    bca = _Bca(difference, drawn_R, gain_U, freedom + 1)
    low, high = bca.bounds(quantile)
    if error > 0:
        # The wider of two intervals is told; the first of them that reaches zero gives its p-value.
        touches = min(abs(difference) / error, abs(bca.quantile_at_zero()))
        p = min(1.0, 2 * float(stdtr(freedom, -touches)))
    else:
        p = 1.0 if difference == 0 else 0.0
    return Interval(
        difference,
        min(low, difference - quantile * error),
        max(high, difference + quantile * error),
        error,
        p,
    )


class _Bca:
    """Bias and acceleration of a resampled difference, and what widens it at few units.

    A bootstrap spreads as if the variance were divided by U, not U - 1, and as a normal, not as
    Student's t; both are put right in the quantile that is read.
    """

    def __init__(
        self, difference: float, drawn_R: np.ndarray, gain_U: np.ndarray, units: float
    ) -> None:
        self.drawn_R, self.units = drawn_R, units
        # Sums of the same numbers in another order differ in the last digits.
        self.near = 1e-9 * float(np.abs(drawn_R).max())
        cubes = float((gain_U**3).sum())
        squares = float((gain_U**2).sum())
        self.acceleration = cubes / (6 * squares**1.5) if squares > self.near**2 else 0.0
        self.bias = self._place(difference)

    def _place(self, value: float) -> float:
        """Returns the rank of ``value`` among the draws, as a normal quantile; draws equal to it
        count half.
        """
        from scipy.special import ndtri

        below = (self.drawn_R < value - self.near).mean()
        equal = (np.abs(self.drawn_R - value) <= self.near).mean()
        # Beyond all draws a normal quantile would be infinite.
        edge = 0.5 / len(self.drawn_R)
        return float(ndtri(np.clip(below + equal / 2, edge, 1 - edge)))

    @property
    def _widening(self) -> float:
        return math.sqrt(self.units / (self.units - 1))

    def bounds(self, quantile: float) -> tuple[float, float]:
        """Returns the interval whose level is given by a quantile of Student's t."""
        from scipy.special import ndtr

        shares = []
        for side in (-quantile, quantile):
            wanted = self.bias + self._widening * side
            left = 1 - self.acceleration * wanted
            # Past this point the corrected quantile has no bound: the farthest draw is taken.
            corrected = self.bias + wanted / left if left > 0 else math.inf * side
            shares.append(float(ndtr(corrected)))
        low, high = np.quantile(self.drawn_R, shares)
        return float(low), float(high)

    def quantile_at_zero(self) -> float:
        """Returns the quantile of Student's t at which the interval touches zero."""
        apart = self._place(0.0) - self.bias
        return (apart / (1 + self.acceleration * apart) - self.bias) / self._widening


def without_each(table: np.ndarray, value: Values) -> np.ndarray:
    """Computes [U] ``value`` over all rows of the table [U, S] except one; nan where none
    is left.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return value(table.sum(0) - table)


def paired(
    first: np.ndarray,
    second: np.ndarray,
    value: Values,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """Computes the interval of ``value(first) - value(second)`` from the statistics [U, S] of the
    same units, the second of which is how much a unit counts.
    """
    single = single_scores(first, second)
    if single is not None:
        return score_interval(*single)
    sums = resample({"first": first, "second": second}, seed=seed, resamples=resamples)
    return interval(
        float(value(first.sum(0)) - value(second.sum(0))),
        value(sums["first"]) - value(sums["second"]),
        without_each(first, value) - without_each(second, value),
        carried_by=effective_units(first[:, 1]),
    )


def holm(p: Mapping[Key, float]) -> dict[Key, float]:
    """Raises p-values so that a threshold of 5 % on each keeps the chance of one false finding
    among all of them at 5 % (Holm 1979).
    """
    raised: dict[Key, float] = {}
    highest = 0.0
    for index, key in enumerate(sorted(p, key=lambda key: p[key])):
        # Never below that of a smaller p-value, or an order of findings would be turned round.
        highest = max(highest, min(1.0, (len(p) - index) * p[key]))
        raised[key] = highest
    return raised


@dataclass(frozen=True)
class McNemar:
    """Items that only the first got right, items that only the second did, and the two-sided exact
    p-value.
    """

    only_first: int
    only_second: int
    p: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Computes McNemar's exact test on right (1) and wrong (0): a fair coin over the items on which
    the two differ.
    """
    only_first = int((first > second).sum())
    only_second = int((second > first).sum())
    flips = only_first + only_second
    fewer = min(only_first, only_second)
    tail = sum(math.comb(flips, k) for k in range(fewer + 1))
    return McNemar(only_first, only_second, min(1.0, 2 * tail / 2**flips))


def smallest_effect(error: float, items: int, *, right_or_wrong: bool) -> float:
    """Computes the difference that this many items would show 8 times in 10: (1.96 + 0.84) standard
    errors (Card et al. 2020, section 3).

    Where items are right or wrong it is at least 6 of them, the fewest that the exact test can call
    a difference.
    """
    effect = POWER * error
    return max(effect, DISCORDANT / items) if right_or_wrong else effect


def items_needed(difference: float, items: int, smallest: float) -> int | None:
    """Counts the items that would show this difference 8 times in 10, as errors shrink with the
    square root; None for no difference.
    """
    if difference == 0 or not (math.isfinite(difference) and math.isfinite(smallest)):
        return None
    return max(FEWEST, math.ceil(items * (smallest / abs(difference)) ** 2))
