"""The search space of a tournament, method by learning rate: the rates of each method are compared
by the search's halving, and each method keeps its best.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tunesmith.searches.engines import ENGINES, Done, Space, Trial, longest
from tunesmith.searches.engines.halving import Halving
from tunesmith.searches.spaces import RATE


def rates_in(space: Space, count: int) -> tuple[float, ...]:
    """Returns ``count`` rates, two or more, from the lowest to the highest of a space, evenly
    spaced by ratio, to two digits.
    """
    step = (space.high / space.low) ** (1 / (count - 1))
    return tuple(float(f"{space.low * step**index:.1e}") for index in range(count))


def best_of(
    rates: Sequence[float], rungs: Sequence[float], score: Callable[[Trial], float]
) -> float | None:
    """Compares rates that rise by ``score``, lower is better, and returns the best, of equal ones
    the lowest; None where no rate could be trained.
    """
    if len(rates) == 1:
        return rates[0]
    engine = _halving(rungs)
    done = list[Done]()
    settings = [{RATE: rate} for rate in rates]
    while batch := engine.of(settings, done):
        done += [Done(trial, score(trial)) for trial in batch]
    best = min(longest(done), key=lambda tried: tried.score)
    return float(best.trial.values[RATE]) if math.isfinite(best.score) else None


def shares_of(rates: int, rungs: Sequence[float]) -> list[float]:
    """Returns the share of the whole training that each training of so many rates takes, in
    order.
    """
    return _halving(rungs).total(rates) if rates > 1 else []


def _halving(rungs: Sequence[float]) -> Halving:
    return Halving(ENGINES.config({"name": "halving", "rungs": list(rungs)}))
