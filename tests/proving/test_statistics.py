"""Paired statistics against closed forms, scipy and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, multinomial
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import t as student_t

from benchmarks import coverage
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


def test_bca_is_scipys():
    draw = np.random.default_rng(11)
    gains = draw.exponential(size=400) - 0.2
    oracle = scipy_bootstrap(
        (gains,), np.mean, n_resamples=20_000, method="BCa", random_state=draw
    ).confidence_interval
    found = statistics.paired(table(gains), table(np.zeros(400)), mean, seed=0)
    student = gains.mean() + np.array([-1, 1]) * student_t.ppf(0.975, 399) * gains.std(ddof=1) / 20
    # At 400 items the correction for few items moves a bound by 0.2 % of its distance.
    assert found.low == pytest.approx(min(oracle.low, student[0]), abs=0.003)
    assert found.high == pytest.approx(max(oracle.high, student[1]), abs=0.003)
    assert oracle.high > student[1], "the skew moves the upper bound"


@pytest.mark.parametrize("shift", [0.05, 0.12, -0.1, 0.15])
def test_the_p_value_is_the_level_at_which_the_interval_touches_zero(monkeypatch, shift):
    gains = np.random.default_rng(12).gamma(2, 0.5, 60) - 1 + shift
    p = statistics.paired(table(gains), table(np.zeros(60)), mean, seed=0).p
    for level, excluded in ((1 - 1.05 * p, True), (1 - 0.95 * p, False)):
        monkeypatch.setattr(statistics, "LEVEL", level)
        found = statistics.paired(table(gains), table(np.zeros(60)), mean, seed=0)
        assert (found.low > 0 or found.high < 0) == excluded, (p, level, found)


def test_a_few_large_groups_tell_as_much_as_few_groups() -> None:
    assert statistics.effective_units(np.full(20, 5)) == 20
    assert statistics.effective_units(np.array([0, 3, 3])) == 2, "an empty one tells nothing"
    assert statistics.effective_units(np.array([100, *[1] * 19])) == pytest.approx(1.41, abs=0.01)


def test_holm_raises_p_values_in_their_order():
    assert statistics.holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06}
    ), "Holm 1979: 4, 3, 2 and 1 times, and never below the one before"
    assert statistics.holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert statistics.holm({}) == {}


@pytest.mark.parametrize("case", coverage.CASES, ids=str)
def test_the_interval_holds_the_truth_as_often_as_it_says(case):
    # 400 draws of 95 %: 91.8 to 98.2 is three standard errors. Of groups of very unequal size the
    # interval is a little too wide where they share little.
    row = coverage.measure(case, units=20, draws=400, resamples=400, seed=4)
    assert 0.915 <= row.covered <= (0.99 if case.sizes == ", unequal groups" else 0.985), row
    if case.truth == 0:
        assert row.above <= 0.04 and row.below <= 0.04, row


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


def changed(gained: int, lost: int, items: int) -> statistics.Scores:
    """Scores of two contenders on items that differ in so many ways."""
    same = items - gained - lost
    return np.repeat([1.0, 0, 1], [gained, lost, same]), np.repeat(
        [0.0, 1, 1], [gained, lost, same]
    )


def test_the_score_interval_is_the_published_one() -> None:
    """Cavo et al. 2012, responses before and after a therapy: the limits of the R package
    contingencytables (Fagerland, Lydersen & Laake 2017, chapter 8).
    """
    bounds = statistics.score_bounds(6, 16, 161, 1.959964)
    assert bounds == pytest.approx((-0.1240, -0.0054), abs=5e-5)
    found = statistics.score_interval(*changed(6, 16, 161))
    assert found.difference == pytest.approx(-0.0621, abs=5e-5)
    assert -0.126 < found.low < -0.1240 and -0.0054 < found.high < -0.004, "by Student's t"


@pytest.mark.parametrize("items", [2, 20, 73, 500])
def test_the_score_interval_solves_tangos_equation(items: int) -> None:
    """Without its square root the equation is of fourth degree (Yang, Sun & Hardin 2013): its
    real roots round the difference are the bounds, where these are no ends of what can be.
    """
    draw = np.random.default_rng(items)
    for _ in range(40):
        gained = int(draw.integers(0, items + 1)) // int(draw.integers(1, 20))
        lost = int(draw.integers(0, items - gained + 1)) // int(draw.integers(1, 20))
        found = statistics.score_interval(*changed(gained, lost, items))
        apart, z2 = gained - lost, student_t.ppf(0.975, items - 1) ** 2
        x = np.polynomial.Polynomial([0.0, 1.0])
        # What the squared test asks for, and what stands before the root of the likeliest share.
        left = (apart - items * x) ** 2 / z2 - items * x * (1 - x)
        before = gained + lost - (2 * items - apart) * x
        roots = ((2 * left - before) ** 2 - before**2 - 8 * items * lost * x * (1 - x)).roots()
        real = np.append(roots[abs(roots.imag) < 1e-7].real, [-1.0, 1.0])
        for bound in (found.low, found.high):
            assert abs(real - bound).min() < 1e-6, (gained, lost, found)
        assert found.low <= apart / items <= found.high


@pytest.mark.parametrize("items", [20, 50, 100])
def test_the_score_interval_holds_the_truth_however_few_change(items: int) -> None:
    """All outcomes of so many items, each with its chance: no draw is needed."""
    counts = [(g, k) for g in range(items + 1) for k in range(items + 1 - g)]
    bounds = [statistics.score_interval(*changed(g, k, items)) for g, k in counts]
    low, high = np.array([[one.low, one.high] for one in bounds]).T
    held = []
    for gains in (0.002, 0.01, 0.03, 0.05, 0.08, 0.1, 0.2, 0.4):
        for losses in (0.0, 0.002, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4):
            shares = [gains, losses, 1 - gains - losses]
            outcomes = [[g, k, items - g - k] for g, k in counts]
            chance = multinomial.pmf(outcomes, items, shares)
            truth = gains - losses
            held.append(chance[(low <= truth + 1e-12) & (high >= truth - 1e-12)].sum())
            if gains == losses:
                assert chance[low > 0].sum() <= 0.025, gains
    assert min(held) > 0.935 and np.mean(held) > 0.95


def test_the_p_value_of_a_score_interval_is_the_level_at_which_it_touches_zero(monkeypatch) -> None:
    p = statistics.score_interval(*changed(14, 5, 60)).p
    for level, excluded in ((1 - 1.01 * p, True), (1 - 0.99 * p, False)):
        monkeypatch.setattr(statistics, "LEVEL", level)
        assert (statistics.score_interval(*changed(14, 5, 60)).low > 0) == excluded


def test_only_single_items_that_are_right_or_wrong_have_a_score_interval() -> None:
    draw = np.random.default_rng(8)
    right, other = table(draw.random(40) < 0.7), table(draw.random(40) < 0.5)
    assert statistics.paired(right, other, mean, seed=0).by == "score"
    assert statistics.paired(right + other, 2 * other, mean, seed=0).by == "bootstrap", "of two"
    assert statistics.paired(right / [2, 1], other, mean, seed=0).by == "bootstrap", "half right"
    left_out = right.copy()
    left_out[3] = 0
    scores = statistics.single_scores(left_out, other)
    assert scores is not None and len(scores[0]) == 39
