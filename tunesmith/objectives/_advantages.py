"""From the rewards of the answers to one prompt to how much better each is than the others.

Answers that abstained are nan and stand outside. Shapes: G answers to one prompt.
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
    known = [rewards_G[~np.isnan(rewards_G)] for rewards_G in rewards]
    spread = _std(np.concatenate(known)) if known else 0.0
    return [
        _of_group(rewards_G, own, kind, spread)
        for rewards_G, own in zip(rewards, known, strict=True)
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


def _std(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
