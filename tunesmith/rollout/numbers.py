"""The numbers that are recorded of the answers of a step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.batches.rollout import Group


def numbers_of(groups: Sequence[Group]) -> dict[str, float]:
    """Returns the numbers recorded of the answers of a step, whatever is learned from them."""
    answers = [answer for group in groups for answer in group.answers]
    sums = np.concatenate([group.rewards_G for group in groups])
    rewards = sums[~np.isnan(sums)]
    compared = any(len(group.answers) > 1 for group in groups)
    teaching = float(np.mean([group.teaches for group in groups]))
    entropy = float(np.concatenate([answer.entropies_T for answer in answers]).mean())
    return {
        "reward_std": float(rewards.std()) if len(rewards) else 0.0,
        **({"teaching": teaching} if compared else {}),
        "length": float(np.mean([len(answer.ids_T) for answer in answers])),
        "stopped": float(np.mean([answer.stopped for answer in answers])),
        # A server says nothing of what it did not draw.
        **({} if np.isnan(entropy) else {"entropy": entropy}),
        **({"length_slope": slope} if (slope := length_slope(groups)) is not None else {}),
    }


def length_slope(groups: Sequence[Group]) -> float | None:
    """Computes what another token is worth among the answers to one prompt: the least-squares slope
    of rewards over lengths, each less its group's mean; None where lengths do not differ.
    """
    above, below = 0.0, 0.0
    for group in groups:
        known_G = ~np.isnan(group.rewards_G)
        lengths_G = np.array([len(answer.ids_T) for answer in group.answers], float)[known_G]
        if len(lengths_G) < 2:
            continue
        apart_G = lengths_G - lengths_G.mean()
        above += float((apart_G * group.rewards_G[known_G]).sum())
        below += float((apart_G**2).sum())
    return above / below if below > 0 else None
