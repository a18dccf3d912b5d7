"""Two shares of right answers over different items, as inside and outside a slice: the score
interval of their difference (Miettinen & Nurminen 1985), and Fisher's exact test.
"""

from __future__ import annotations

import math

import numpy as np

from tunesmith.proving.statistics import LEVEL, Interval

Counts = tuple[int, int]
"""How many items are right, and how many there are."""


def counts(right_I: np.ndarray) -> Counts:
    """Counts what is right (1) and all."""
    return int(right_I.sum()), len(right_I)


def share_interval(first: Counts, second: Counts) -> Interval:
    """Computes the interval of the difference of two shares: all differences that the score test
    does not reject, read by Student's t of the smaller side.

    Read by a normal, as in the paper, it holds the truth in 91 to 94 % of the draws in the worst
    cases of 20 to 200 items, by Student's t in 95 to 96 % (all outcomes with their chances). A
    bound wholly below zero can still come in 4 % where nearly all is right, which is why a word is
    said by ``exact_p`` too.
    """
    from scipy.special import stdtr, stdtrit

    difference = first[0] / first[1] - second[0] / second[1]
    freedom = min(first[1], second[1]) - 1
    if freedom < 1:
        return Interval(difference, -math.inf, math.inf, math.inf, 1.0, "score")
    low, high = share_bounds(first, second, float(stdtrit(freedom, (1 + LEVEL) / 2)))
    error = math.sqrt(_variance(first, second, difference))
    null = _variance(first, second, 0.0)
    touches = abs(difference) / math.sqrt(null) if null > 0 else 0.0
    return Interval(difference, low, high, error, 2 * float(stdtr(freedom, -touches)), "score")


def share_bounds(first: Counts, second: Counts, quantile: float) -> tuple[float, float]:
    """Finds the lowest and the highest difference of the shares that the score test at this
    quantile does not reject, by halving what lies between the one that was seen and the ends.
    """
    seen = first[0] / first[1] - second[0] / second[1]
    bounds = []
    for end in (-1.0, 1.0):
        inside = seen
        for _ in range(60):  # a double has 53 bits
            middle = (inside + end) / 2
            if (seen - middle) ** 2 > quantile**2 * _variance(first, second, middle):
                end = middle
            else:
                inside = middle
        bounds.append(inside)
    return bounds[0], bounds[1]


def exact_p(first: Counts, second: Counts) -> float:
    """Computes Fisher's exact test: twice the smaller chance of so few, or so many, of the right
    answers on the first side, were they dealt out by lot.
    """
    from scipy.stats import hypergeom

    dealt = hypergeom(first[1] + second[1], first[0] + second[0], first[1])
    return min(1.0, 2 * float(min(dealt.cdf(first[0]), dealt.sf(first[0] - 1))))


def _variance(first: Counts, second: Counts, difference: float) -> float:
    """Returns the variance of the difference of the shares where it is truly ``difference``, at the
    likeliest shares that lie so far apart: the root of a cubic (Farrington & Manning 1990,
    appendix I).
    """
    (_, many), (_, others) = first, second
    share = first[0] / many
    other = second[0] / others
    ratio = others / many
    a = 1 + ratio
    b = -(a + share + ratio * other + difference * (ratio + 2))
    c = difference**2 + difference * (2 * share + a) + share + ratio * other
    d = -share * difference * (1 + difference)
    third = b / (3 * a)
    v = third**3 - b * c / (6 * a**2) + d / (2 * a)
    u = math.copysign(math.sqrt(max(third**2 - c / (3 * a), 0.0)), v)
    angle = math.acos(min(1.0, max(-1.0, v / u**3))) if u else 0.0
    root = 2 * u * math.cos((math.pi + angle) / 3) - third
    likely = min(1.0, max(0.0, root))
    beside = min(1.0, max(0.0, likely - difference))
    spread = likely * (1 - likely) / many
    spread += beside * (1 - beside) / others
    items = many + others
    return spread * items / (items - 1)
