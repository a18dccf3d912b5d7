"""What goes wrong where rewards are learned from: signs that the numbers of a step show, each told
once. The last ten steps are compared with the first ten.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable
from typing import Any

from tunesmith.events.run import StepMade
from tunesmith.events.sampled import AnswersAlike, AnswersGrow, FarFromBase, RewardForLength
from tunesmith.events.stream import Event

FEWEST = 10
"""Steps at each end that are compared."""
KEPT = ("reward", "length", "stopped", "entropy", "kl", "length_slope")
"""Numbers of a step that are looked at."""
FAR = 1.0
"""Distance to the base (nats a token, k3) from which it is told; chosen, not measured."""
COLLAPSED = 0.1
"""Share of the first entropy below which answers are all but the same."""
GROWN, ENDING = 1.5, 0.2
"""How many times longer answers are, and how much smaller the share of those that end."""
LENGTH_ALONE = 0.8
"""Share of the rise of the reward that longer answers must be worth. Of rewards that pay for
length alone, it was 0.92 to 0.99 where characters were paid for (the rest came from longer tokens),
1.02 to 1.09 for words.
"""


class SampledHealth:
    """The rules for runs on sampled answers."""

    def __init__(self) -> None:
        self.first: dict[str, list[float]] = {}
        self.last: dict[str, deque[float]] = {}
        self.told: list[str] = []

    def see(self, event: StepMade) -> Event | None:
        """Returns the first sign that was not told yet; None where there is none."""
        if not event.sampled:
            return None
        for name in KEPT:
            if name in event.numbers:
                first = self.first.setdefault(name, [])
                last = self.last.setdefault(name, deque(maxlen=FEWEST))
                (first if len(first) < FEWEST else last).append(event.numbers[name])
        signs: tuple[Callable[[int], Event | None], ...] = (
            self._far,
            self._grows,
            self._alike,
            self._for_length,
        )
        for sign in signs:
            if sign.__name__ in self.told:
                continue
            met = sign(event.step)
            if met is not None:
                self.told.append(sign.__name__)
                return met
        return None

    def _means(self, name: str) -> tuple[float, float] | None:
        """Returns the mean of the first and of the last steps, once there are enough."""
        if len(self.last.get(name, ())) < FEWEST:
            return None
        return statistics.fmean(self.first[name]), statistics.fmean(self.last[name])

    def _gained(self) -> float | None:
        """Returns how much the reward rose; 0 where that is less than three standard errors."""
        means = self._means("reward")
        if means is None:
            return None
        spread = statistics.variance(self.first["reward"]) + statistics.variance(
            self.last["reward"]
        )
        rise = means[1] - means[0]
        return rise if rise > 3 * (spread / FEWEST) ** 0.5 else 0.0

    def _far(self, step: int) -> FarFromBase | None:
        """Tells of a distance to the base that text of some sense does not have."""
        means = self._means("kl")
        if means is None or means[1] <= FAR:
            return None
        return FarFromBase(step, round(means[1], 3), FAR)

    def _grows(self, step: int) -> AnswersGrow | None:
        """Tells of answers that become longer and end less often."""
        lengths = self._means("length")
        ending = self._means("stopped")
        if lengths is None or ending is None:
            return None
        if lengths[1] < GROWN * lengths[0] or ending[0] - ending[1] < ENDING:
            return None
        before, now = (round(length, 1) for length in lengths)
        return AnswersGrow(step, before, now, round(100 * ending[1]))

    def _alike(self, step: int) -> AnswersAlike | None:
        """Tells of answers that no longer differ while nothing was gained."""
        entropies = self._means("entropy")
        if entropies is None or self._gained() != 0 or entropies[1] >= COLLAPSED * entropies[0]:
            return None
        before, now = (round(entropy, 4) for entropy in entropies)
        return AnswersAlike(step, before, now)

    def _for_length(self, step: int) -> RewardForLength | None:
        """Tells of a reward whose rise is nearly all what it is worth, among answers to the same
        prompts, that answers became longer.

        Shorter ones are no sign: where the right answers are the short ones, that is what is
        learned.
        """
        lengths = self._means("length")
        slopes = self._means("length_slope")
        gained = self._gained()
        if lengths is None or slopes is None or not gained:
            return None
        worth = (slopes[0] + slopes[1]) / 2 * (lengths[1] - lengths[0])
        if lengths[1] <= lengths[0] or worth < LENGTH_ALONE * gained:
            return None
        before, now = (round(length, 1) for length in lengths)
        return RewardForLength(step, round(gained, 4), round(worth, 4), before, now)

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint."""
        last = {name: list(values) for name, values in self.last.items()}
        return {"first": self.first, "last": last, "told": self.told}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``; a checkpoint from before these rules begins them anew."""
        self.first, self.told = state.get("first", {}), state.get("told", [])
        last = state.get("last", {})
        self.last = {name: deque(values, maxlen=FEWEST) for name, values in last.items()}
