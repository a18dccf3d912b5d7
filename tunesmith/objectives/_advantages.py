"""From rewards to advantages: how much better an answer is than the others to its prompt, or a
token than was expected.

Answers that abstained are nan and stand outside. Shapes: G answers to one prompt, T tokens of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Advantage = Literal["group_std", "group", "leave_one_out", "batch_std"]
LEAST_STD = 1e-4
"""Added to standard deviations (DeepSeekMath's code and TRL); with less, a group in which one
reward differs by 0.001 would get advantages of 2.5.
"""


def advantages(rewards: Sequence[np.ndarray], kind: Advantage) -> list[np.ndarray]:
    """Computes the advantage of each answer, nan where it abstained, by group [G].

    ``group_std`` is GRPO's (Shao et al. 2024, section 4.1.2), ``group`` that of Dr. GRPO (Liu et
    al. 2025, section 3.2), ``leave_one_out`` RLOO's (Ahmadian et al. 2024, eq. 5); ``batch_std``
    divides by the standard deviation of all rewards of the step.
    """
    rewarded = [rewards_G[~np.isnan(rewards_G)] for rewards_G in rewards]
    spread = _std(np.concatenate(rewarded)) if rewarded else 0.0
    return [
        _of_group(rewards_G, rewards_there, kind, spread)
        for rewards_G, rewards_there in zip(rewards, rewarded, strict=True)
    ]


def _of_group(
    rewards_G: np.ndarray, known: np.ndarray, kind: Advantage, spread: float
) -> np.ndarray:
    # By largest and smallest, so that equal rewards give exactly nothing.
    if len(known) < 2 or known.max() == known.min():
        return rewards_G * 0.0
    centred_G = rewards_G - known.mean()
    if kind == "group_std":
        return centred_G / (_std(known) + LEAST_STD)
    if kind == "batch_std":
        return centred_G / (spread + LEAST_STD)
    return centred_G * (len(known) / (len(known) - 1)) if kind == "leave_one_out" else centred_G


def gae(
    rewards_T: np.ndarray, values_T: np.ndarray, *, discount: float, trace: float
) -> np.ndarray:
    """Computes [T] how much better each token was than its value (Schulman et al. 2016, eq. 16):
    the sum of the surprises from there on, each weighing ``discount * trace`` times the one before.

    The surprise of a token is its reward and the discounted value of the next, less its own value;
    after the last token nothing is worth anything.
    """
    after_T = np.append(values_T[1:], 0.0)
    surprises_T = rewards_T + discount * after_T - values_T
    found_T = np.zeros(len(surprises_T))
    ahead = 0.0
    for index in reversed(range(len(surprises_T))):
        ahead = surprises_T[index] + discount * trace * ahead
        found_T[index] = ahead
    return found_T


def whitened(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns the parts with mean 0 and variance 1 over all their values, the variance with
    Bessel's correction, as TRL and verl have it; a single value is 0.
    """
    if not parts:
        return []
    values = np.concatenate(parts)
    spread = np.sqrt(_std(values) ** 2 + 1e-8)
    return [(part - values.mean()) / spread for part in parts]


def _std(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
