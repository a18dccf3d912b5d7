"""Strengths by an independent fit, finite where one contender won everything, and covered by their
intervals.
"""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from tunesmith.voting.strength import PRIOR, Duels, drawn_weights, preferred, strengths


def drawn(seed: int, n: int = 200, truth: tuple[float, ...] = (0.0, 0.6, -0.4), slope: float = 0.8):
    generator = np.random.default_rng(seed)
    pairs = np.array([generator.permutation(len(truth))[:2] for _ in range(n)])
    longer = generator.normal(0, 0.7, n)
    logits = np.array(truth)[pairs[:, 0]] - np.array(truth)[pairs[:, 1]] + slope * longer
    won = (generator.random(n) < 1 / (1 + np.exp(-logits))).astype(float)
    won[generator.random(n) < 0.15] = 0.5
    return Duels(pairs[:, 0], pairs[:, 1], won, longer, np.arange(n))


def test_the_fit_is_that_of_scikit_learn():
    for by_length in (False, True):
        duels = drawn(0)
        spread = np.sqrt((duels.longer_n**2).mean())
        design = np.zeros((len(duels), 3 + by_length))
        design[np.arange(len(duels)), duels.first_n] += 1
        design[np.arange(len(duels)), duels.second_n] -= 1
        if by_length:
            design[:, 3] = duels.longer_n / spread
        design = design[:, 1:]
        oracle = LogisticRegression(C=PRIOR**2, fit_intercept=False, tol=1e-12, max_iter=1000)
        both = np.concatenate([design, design])
        said = np.repeat([1, 0], len(duels))
        oracle.fit(both, said, np.concatenate([duels.score_n, 1 - duels.score_n]))
        own = strengths(duels, 3, np.ones((1, len(duels))), by_length=by_length)[0]
        assert np.allclose(own, [0, *oracle.coef_[0][:2]], atol=1e-5)


def test_a_contender_that_won_everything_has_a_finite_strength():
    n = 40
    duels = Duels(
        np.zeros(n, int), np.ones(n, int), np.ones(n), np.linspace(0.1, 2, n), np.arange(n)
    )
    for by_length in (False, True):
        found = strengths(duels, 2, np.ones((1, n)), by_length=by_length)
        chance = preferred(found, 0, 1)[0]
        assert 0.5 < chance < 1 and np.isfinite(found).all()


def test_at_equal_length_a_contender_that_wins_by_length_alone_is_no_better():
    duels = drawn(3, n=2000, truth=(0.0, 0.0), slope=2.0)
    duels = Duels(
        duels.first_n,
        duels.second_n,
        duels.score_n,
        np.where(duels.first_n == 1, 1.0, -1.0) * 0.5 + duels.longer_n,
        duels.item_n,
    )
    generator = np.random.default_rng(0)
    won = generator.random(2000) < 1 / (1 + np.exp(-2.0 * duels.longer_n))
    duels = Duels(duels.first_n, duels.second_n, won.astype(float), duels.longer_n, duels.item_n)
    plain = preferred(strengths(duels, 2, np.ones((1, 2000)), by_length=False), 1, 0)[0]
    even = preferred(strengths(duels, 2, np.ones((1, 2000)), by_length=True), 1, 0)[0]
    assert plain > 0.65 and abs(even - 0.5) < 0.05


def test_votes_on_one_prompt_are_drawn_together():
    weights = drawn_weights(np.array([0, 0, 1, 2, 2]), 50, seed=1)
    assert (weights[:, 0] == weights[:, 1]).all() and (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, [0, 2, 3]].sum(1) == 3).all()
