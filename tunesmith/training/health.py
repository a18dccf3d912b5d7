"""What can be seen going wrong while a run runs: a rule sees every step and may give an event."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol

import torch

from tunesmith.events.run import (
    ChosenRewardFalls,
    LossSpike,
    SamplerApart,
    StepMade,
    WeightsDidNotMove,
)
from tunesmith.events.stream import Event
from tunesmith.models.structure.divided import whole

WINDOW = 50
"""Losses that a new one is compared with."""
FEWEST = 10
"""A median of fewer says nothing."""
SPIKE = 8.0
"""Robust z-score above which a loss is a spike."""
SPIKES = 3
"""Spikes in a row that make an event."""
GAPS = {"fp32": 1e-3, "bf16": 0.05, "fp16": 0.05}
"""Largest mean difference (nats a token) between what the sampler and the training say of sampled
tokens; a tiny model in fp32 shows 1.6e-7, SmolLM2-135M 1.1e-5.
"""
MOVED_BY = 10
"""Updates after which every trainable weight should have moved."""


class Rule(Protocol):
    """A check for one thing that goes wrong."""

    def see(self, event: StepMade) -> Event | None:
        """Returns the event, where this step shows one."""
        ...


def robust_z(value: float, window: Iterable[float]) -> float:
    """Computes the distance from the median in units of 1.4826 MAD, which is the standard deviation
    where losses are normal.
    """
    losses = list(window)
    median = statistics.median(losses)
    spread = 1.4826 * statistics.median(abs(loss - median) for loss in losses)
    # Losses that hardly differ have next to no spread, and the smallest step would be a spike.
    return (value - median) / max(spread, 1e-3 * abs(median), 1e-12)


class Spikes:
    """The loss-spike rule: z above 8 against the last 50 losses, three steps running."""

    def __init__(self) -> None:
        self.losses: deque[float] = deque(maxlen=WINDOW)
        self.row = 0

    def see(self, event: StepMade) -> LossSpike | None:
        """Returns the event at the third spike in a row; until then the losses of a spike do not
        enter the window.
        """
        # The loss of sampled answers is about 0 whatever they are worth.
        if event.sampled or "loss" not in event.numbers:
            return None
        loss = event.numbers["loss"]
        z = robust_z(loss, self.losses) if len(self.losses) >= FEWEST else 0.0
        if z <= SPIKE:
            self.row = 0
            self.losses.append(loss)
            return None
        self.row += 1
        if self.row < SPIKES:
            return None
        self.row = 0
        self.losses.append(loss)
        return LossSpike(event.step, round(loss, 4), round(z, 2))

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint."""
        return {"losses": list(self.losses), "row": self.row}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``."""
        self.losses = deque(state["losses"], maxlen=WINDOW)
        self.row = state["row"]


class Falling:
    """The rule that the reward of the chosen answer should not fall: the last ten steps against the
    first ten, told once.

    It fell where their means are further apart than three standard errors of the difference.
    """

    def __init__(self) -> None:
        self.first: list[float] = []
        self.last: deque[float] = deque(maxlen=FEWEST)
        self.told = False

    def see(self, event: StepMade) -> ChosenRewardFalls | None:
        """Returns the event the first time that the reward has fallen; ignores steps without such a
        reward.
        """
        reward = event.numbers.get("rewards/chosen")
        if reward is None or self.told:
            return None
        (self.first if len(self.first) < FEWEST else self.last).append(reward)
        if len(self.last) < FEWEST:
            return None
        before = statistics.fmean(self.first)
        now = statistics.fmean(self.last)
        error = ((statistics.variance(self.first) + statistics.variance(self.last)) / FEWEST) ** 0.5
        self.told = before - now > 3 * max(error, 1e-6)
        if not self.told:
            return None
        return ChosenRewardFalls(event.step, round(before, 4), round(now, 4))

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint."""
        return {"first": self.first, "last": list(self.last), "told": self.told}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``."""
        self.first, self.last, self.told = (
            state["first"],
            deque(state["last"], maxlen=FEWEST),
            state["told"],
        )


class Apart:
    """The rule that what is trained is what was sampled from: both ways of computing a token's
    log-probability agree but for rounding. Told once.
    """

    def __init__(self, precision: str) -> None:
        self.most = GAPS[precision]
        self.told = False

    def see(self, event: StepMade) -> SamplerApart | None:
        """Returns the event the first time that the sampler's probabilities differ too much;
        ignores steps that sampled nothing.
        """
        gap = event.numbers.get("sampler_gap", 0.0)
        if self.told or gap <= self.most:
            return None
        self.told = True
        return SamplerApart(event.step, round(gap, 6), self.most)


class Unmoved:
    """The rule that ten updates move every trainable tensor; it compares sums, not copies."""

    def __init__(self, named: list[tuple[str, torch.nn.Parameter]], updates: int = 0) -> None:
        self.named = named
        self.sums = _sums(named) if updates < MOVED_BY else None

    def see(self, event: StepMade) -> WeightsDidNotMove | None:
        """Returns the event, once, when enough updates have been made and some tensor has not
        changed.
        """
        if self.sums is None or event.updates < MOVED_BY:
            return None
        after, before, self.sums = _sums(self.named), self.sums, None
        still = [
            name
            for (name, _), old, new in zip(self.named, before, after, strict=True)
            if old == new
        ]
        return WeightsDidNotMove(event.step, len(still), len(after), still[:5]) if still else None


def _sums(named: list[tuple[str, torch.nn.Parameter]]) -> list[float]:
    # The norm besides, because an update may leave the plain sum unchanged.
    both = [
        (
            p.detach().sum(dtype=torch.float64),
            torch.linalg.vector_norm(p.detach(), dtype=torch.float64),
        )
        for _, p in named
    ]
    return [float(whole(total) + whole(norm)) for total, norm in both]
