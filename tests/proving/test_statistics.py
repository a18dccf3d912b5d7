"""Paired statistics against closed forms, scipy and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from tunesmith.metrics import METRICS
from tunesmith.proving import statistics


def mean(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def table(scores) -> np.ndarray:
    scores = np.asarray(scores, dtype=float)
    return np.stack([scores, np.ones_like(scores)], axis=1)


def test_a_constant_gain_has_an_interval_without_width():
    scores = np.random.default_rng(0).random(50)
    found = statistics.paired(table(scores + 0.25), table(scores), mean, seed=0)
    assert (found.difference, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))
    assert found.error == pytest.approx(0, abs=1e-12)


def test_the_interval_of_a_mean_is_its_normal_one():
    gains = np.random.default_rng(1).normal(0.1, 1.0, 400)
    found = statistics.paired(table(gains), table(np.zeros(400)), mean, seed=0)
    error = gains.std() / 20
    assert found.error == pytest.approx(error, rel=0.03)
    assert (found.low, found.high) == pytest.approx(
        (gains.mean() - 1.96 * error, gains.mean() + 1.96 * error), abs=0.1 * error
    )


def test_pairing_is_used():
    generator = np.random.default_rng(2)
    hard = generator.normal(0, 5, 300)
    found = statistics.paired(
        table(hard + generator.normal(0.2, 0.1, 300)), table(hard), mean, seed=0
    )
    assert 0.18 < found.low < found.high < 0.22


def test_the_seed_fixes_the_interval_and_chunks_do_not_change_it():
    generator = np.random.default_rng(3)
    first, second = table(generator.random(30)), table(generator.random(30))
    assert statistics.paired(first, second, mean, seed=5) == statistics.paired(
        first, second, mean, seed=5
    )
    assert statistics.paired(first, second, mean, seed=5) != statistics.paired(
        first, second, mean, seed=6
    )
    sums = statistics.resample({"a": first, "b": first}, seed=5, resamples=500)
    assert (
        sums["a"].shape == (500, 2)
        and (sums["a"] == sums["b"]).all()
        and (sums["a"][:, 1] == 30).all()
    )


def test_the_interval_holds_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(4)
    hits = 0
    for trial in range(300):
        right, wrong = generator.random(80) < 0.7, generator.random(80) < 0.5
        found = statistics.paired(table(right), table(wrong), mean, seed=trial, resamples=600)
        hits += found.low <= 0.2 <= found.high
    assert 0.91 <= hits / 300 <= 0.985


def test_a_ratio_over_tokens_is_resampled_by_items():
    metric = METRICS.make(METRICS.config("nll"))
    generator = np.random.default_rng(5)
    weights = generator.integers(1, 40, 200).astype(float)
    base, tuned = np.stack([2.0 * weights, weights], 1), np.stack([1.5 * weights, weights], 1)
    found = statistics.paired(tuned, base, metric.value, seed=0)
    assert (found.low, found.high) == pytest.approx((-0.5, -0.5))


@pytest.mark.parametrize(
    "only_first, only_second", [(0, 0), (5, 0), (6, 0), (3, 9), (40, 41), (1500, 1100)]
)
def test_mcnemar_is_the_exact_binomial_test(only_first, only_second):
    first = np.array([1] * only_first + [0] * only_second + [1] * 10 + [0] * 7)
    second = np.array([0] * only_first + [1] * only_second + [1] * 10 + [0] * 7)
    found = statistics.mcnemar(first, second)
    flips = only_first + only_second
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p == pytest.approx(binomtest(only_first, flips).pvalue if flips else 1.0, rel=1e-6)


def test_six_changed_items_are_the_fewest_that_can_be_called():
    ones, zeros = np.ones(statistics.DISCORDANT), np.zeros(statistics.DISCORDANT)
    assert statistics.mcnemar(ones, zeros).p < 0.05 < statistics.mcnemar(ones[1:], zeros[1:]).p


def test_the_smallest_effect_is_shown_eight_times_in_ten():
    generator = np.random.default_rng(6)
    effect = statistics.smallest_effect(1 / np.sqrt(200), 200, right_or_wrong=False)
    shown = 0
    for trial in range(200):
        found = statistics.paired(
            table(generator.normal(effect, 1, 200)),
            table(np.zeros(200)),
            mean,
            seed=trial,
            resamples=500,
        )
        shown += found.low > 0
    assert 0.72 <= shown / 200 <= 0.88


def test_right_or_wrong_items_need_six_changes_at_least():
    assert statistics.smallest_effect(0.0, 100, right_or_wrong=True) == pytest.approx(0.06)
    assert statistics.smallest_effect(0.0, 100, right_or_wrong=False) == 0


def test_items_needed_grow_with_the_square():
    assert statistics.items_needed(0.05, 100, 0.10) == 400
    assert statistics.items_needed(-0.05, 100, 0.10) == 400
    assert statistics.items_needed(0.0, 100, 0.10) is None
    assert statistics.items_needed(5.0, 10, 0.10) == statistics.FEWEST
