"""How strong contenders are by paired votes (Bradley & Terry 1952), at equal length of the answers
where asked, with intervals over resampled prompts.

The chance that i is preferred to j is 1 / (1 + exp(-(s_i - s_j + b x))), x the difference of their
log lengths. A tie is half a vote for each. Ties aside, that is logistic regression; a normal prior
of standard deviation ``PRIOR`` keeps the strengths finite where one contender won every vote.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PRIOR = 3.0
"""Standard deviation of strengths (logits) and of the slope: 95 in 100 wins are 2.9 logits, so that
over twenty votes it moves a share of 0.7 by less than 0.01.
"""
STEPS = 50


@dataclass(frozen=True)
class Duels:
    """n votes: what was compared, and to whom the vote went. C contenders, I prompts."""

    first_n: np.ndarray
    second_n: np.ndarray
    score_n: np.ndarray
    """1 for the first, 0 for the second, 0.5 for a tie."""
    longer_n: np.ndarray
    """The difference of the log lengths of the two answers."""
    item_n: np.ndarray
    """The number of the prompt."""

    def __len__(self) -> int:
        """Counts the votes."""
        return len(self.score_n)


def strengths(
    duels: Duels, contenders: int, weights_Rn: np.ndarray, *, by_length: bool
) -> np.ndarray:
    """Computes [R, C] the strengths against the first contender, whose own is 0, once for each row
    of weights of the votes.
    """
    columns = contenders - 1
    design_nK = np.zeros((len(duels), columns + by_length))
    places = np.arange(len(duels))
    for numbers_n, sign in ((duels.first_n, 1.0), (duels.second_n, -1.0)):
        shown = numbers_n > 0
        design_nK[places[shown], numbers_n[shown] - 1] += sign
    if by_length:
        # The slope has the strengths' scale and the strengths no more than their own prior.
        spread = float(np.sqrt((duels.longer_n**2).mean())) or 1.0
        design_nK[:, -1] = duels.longer_n / spread
    found_RK = _fitted(design_nK, duels.score_n, weights_Rn)
    return np.concatenate([np.zeros((len(found_RK), 1)), found_RK[:, :columns]], axis=1)


def _fitted(design_nK: np.ndarray, score_n: np.ndarray, weights_Rn: np.ndarray) -> np.ndarray:
    """Computes [R, K] the most probable coefficients by Newton's method."""
    columns = design_nK.shape[1]
    found_RK = np.zeros((len(weights_Rn), columns))
    prior_KK = np.eye(columns) / PRIOR**2
    squares_nL = (design_nK[:, :, None] * design_nK[:, None, :]).reshape(len(design_nK), -1)
    for _ in range(STEPS):
        # Beyond 40 the chance is 0 or 1 to the last digit, and exp would overflow.
        chance_Rn = 1 / (1 + np.exp(-np.clip(found_RK @ design_nK.T, -40, 40)))
        slope_RK = (weights_Rn * (score_n - chance_Rn)) @ design_nK - found_RK / PRIOR**2
        bend_Rn = weights_Rn * chance_Rn * (1 - chance_Rn)
        bend_RKK = (bend_Rn @ squares_nL).reshape(-1, columns, columns)
        step_RK = np.linalg.solve(bend_RKK + prior_KK, slope_RK[..., None])[..., 0]
        # A whole step from far away can go beyond the best place; such a prior bounds where it is.
        found_RK += np.clip(step_RK, -2 * PRIOR, 2 * PRIOR)
        if np.abs(step_RK).max(initial=0) < 1e-10:
            break
    return found_RK


def drawn_weights(item_n: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Draws [R, n] how often each vote counts when whole prompts are drawn with replacement."""
    names, place_n = np.unique(item_n, return_inverse=True)
    generator = np.random.default_rng(seed)
    even = np.full(len(names), 1 / len(names))
    return generator.multinomial(len(names), even, size=resamples)[:, place_n].astype(float)


def preferred(strengths_RC: np.ndarray, first: int, second: int) -> np.ndarray:
    """Computes [R] the chance that the first of two contenders is preferred to the second."""
    return 1 / (1 + np.exp(strengths_RC[:, second] - strengths_RC[:, first]))
