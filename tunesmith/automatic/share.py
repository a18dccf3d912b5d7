"""How a budget of time is shared between trials, whole trainings and the proof."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tunesmith.plain import Named

RUNGS = (0.1, 0.3)
"""Shares of the whole training in which candidates are compared; half are left out after each."""
FOR_TRAINING = 0.7
"""Share of the budget that trainings may take; the rest is for proving."""
FEWEST_STEPS = 10
"""A shorter training learns nothing that could be compared."""
LOOKS = (10, 5, 2, 1)
"""How often a training may evaluate on its way; the first that costs little enough is taken."""
FOR_LOOKS = 0.25
"""Share of its steps' time that a training may spend on evaluations, where fewer would do."""


@dataclass(frozen=True)
class Pace:
    """What a machine takes for a run: seconds for a step, and for one reading of the validation
    rows. ``fits`` tells that each evaluation reads them twice.
    """

    step: float
    read: float
    fits: bool

    @staticmethod
    def of(facts: Named) -> Pace:
        """Takes it from the trial of a plan."""
        probe = facts["probe"]
        tokens = max(facts["probe"]["tokens"], 1)
        step = probe["seconds"] * probe["step_tokens"] / tokens
        read = probe["read_seconds"] * probe["look_tokens"] / tokens
        return Pace(step, read, facts["evaluations"]["fits"] > 0)

    def seconds(self, steps: int, looks: int) -> float:
        """Returns what a training takes, with the evaluation before its first step."""
        return self.step * steps + self.read * (1 + looks * (1 + self.fits))

    def looks(self, steps: int) -> int:
        """Chooses how often a training of so many steps evaluates."""
        for count in LOOKS:
            if self.seconds(steps, count) <= (1 + FOR_LOOKS) * self.step * steps:
                return count
        return LOOKS[-1]

    def whole(self, steps: int) -> float:
        """Returns what a training takes that evaluates as often as it may."""
        return self.seconds(steps, self.looks(steps))

    def search(self, steps: int, trials: int) -> float:
        """Returns what a search over so many candidates takes: its rungs, where there is more than
        one, and the best and the run's own whole.
        """
        if trials == 1:
            return self.whole(steps)
        seconds = 2 * self.whole(steps)
        left = trials
        for number, rung in enumerate(RUNGS):
            if number and left == 1:
                break
            seconds += left * self.seconds(math.ceil(rung * steps), 1)
            left = math.ceil(left / 2)
        return seconds


@dataclass(frozen=True)
class Share:
    """What is afforded: how many candidates, the run's own among them, how often a whole training
    evaluates, what it takes (seconds), and whether it is cut to ``steps``.
    """

    trials: int
    looks: int
    whole: float
    steps: int | None = None


def share(budget: float, pace: Pace, steps: int, candidates: int) -> Share | None:
    """Divides ``budget`` (seconds) where a whole training has so many ``steps``; None where not
    even a training of ``FEWEST_STEPS`` fits.
    """
    afforded = FOR_TRAINING * budget
    for trials in range(candidates + 1, 0, -1):
        if pace.search(steps, trials) <= afforded:
            return Share(trials, pace.looks(steps), pace.whole(steps))
    for fewer in range(steps - 1, FEWEST_STEPS - 1, -1):
        if pace.whole(fewer) <= afforded:
            return Share(1, pace.looks(fewer), pace.whole(fewer), fewer)
    return None
