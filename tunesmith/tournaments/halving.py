"""Successive halving (Jamieson and Talwalkar 2016, algorithm 1) over the learning rates of one
method.

Here each rung is a training of its own with its whole schedule: a rate is judged as it will be
used, warmed up and cooled down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tunesmith.settings.run import Train


def rates_between(low: float, high: float, count: int, own: float) -> tuple[float, ...]:
    """Returns ``count`` rates from ``low`` to ``high``, evenly spaced by ratio, to two digits; one
    alone is the method's ``own``.
    """
    if count == 1:
        return (own,)
    step = (high / low) ** (1 / (count - 1))
    return tuple(float(f"{low * step**index:.1e}") for index in range(count))


def survivors(rates: Sequence[float], scores: Sequence[float], *, last: bool) -> tuple[float, ...]:
    """Returns the better half of the rates (lower is better), only the best at the last rung; never
    a rate without a finite score.
    """
    found = sorted(
        (score, rate) for rate, score in zip(rates, scores, strict=True) if math.isfinite(score)
    )
    # Half of those that began, not of those with a finite score: a rate that broke has lost.
    left = 1 if last else math.ceil(len(rates) / 2)
    return tuple(sorted(rate for _, rate in found[:left]))


def halve(
    rates: Sequence[float], rungs: Sequence[float], score: Callable[[float, float], float]
) -> float | None:
    """Compares ``score(rate, share)`` at each rung and returns the rate that is left; None where no
    rate could be trained.
    """
    left = tuple(rates)
    for number, share in enumerate(rungs, start=1):
        if len(left) > 1:
            left = survivors(left, [score(rate, share) for rate in left], last=number == len(rungs))
    return left[0] if left else None


def trainings(rates: int, rungs: Sequence[float]) -> list[float]:
    """Returns the share of the whole training that each training of the search takes, in order."""
    found: list[float] = []
    for number, share in enumerate(rungs, start=1):
        found += [share] * rates if rates > 1 else []
        rates = 1 if number == len(rungs) else math.ceil(rates / 2)
    return found


def part_of(train: Train, steps: int, share: float) -> Train:
    """Returns the settings of a training that takes ``share`` of ``steps``, warmed up and cooled
    down in that time.
    """
    if share == 1:
        return train
    warmup = train.warmup if train.warmup < 1 else max(1.0, round(share * train.warmup))
    return train.model_copy(update={"steps": max(1, round(share * steps)), "warmup": warmup})
