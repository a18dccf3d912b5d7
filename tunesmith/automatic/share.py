"""How a budget of time is shared between trials, whole trainings and the proof."""

from __future__ import annotations

import math
from dataclasses import dataclass

RUNGS = (0.1, 0.3)
"""Shares of the whole training in which candidates are compared; half are left out after each."""
FOR_TRAINING = 0.7
"""Share of the budget that trainings may take; the rest is for proving."""
FEWEST_STEPS = 10
"""A shorter training learns nothing that could be compared."""


@dataclass(frozen=True)
class Share:
    """What is afforded: how many candidates, the run's own among them, and whether the training is
    cut to ``steps``.
    """

    trials: int
    steps: int | None = None


def cost(trials: int) -> float:
    """Returns what a search over so many candidates takes, in whole trainings: its rungs, and the
    best and the run's own whole.
    """
    found, left = 1.0 if trials == 1 else 2.0, trials
    for number, rung in enumerate(RUNGS):
        if number and left == 1:
            break
        found += rung * left
        left = math.ceil(left / 2)
    return found


def share(budget: float, whole: float, steps: int, candidates: int) -> Share | None:
    """Divides ``budget`` (seconds) where a whole training of ``steps`` takes ``whole`` seconds;
    None where not even a training of ``FEWEST_STEPS`` fits.
    """
    afforded = FOR_TRAINING * budget / whole
    for trials in range(candidates + 1, 0, -1):
        if cost(trials) <= afforded:
            return Share(trials)
    fewer = math.floor(steps * afforded / cost(1))
    return Share(1, fewer) if fewer >= FEWEST_STEPS else None
