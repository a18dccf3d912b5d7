"""The rates of a method where the best is known in closed form."""

from __future__ import annotations

import math

import pytest

from tunesmith.searches.engines import Space, Trial
from tunesmith.tournaments.rates import best_of, rates_in, shares_of

RATES = (1e-4, 1e-3, 1e-2, 1e-1)


def rate_of(trial: Trial) -> float:
    (rate,) = trial.values.values()
    return float(rate)


def test_rates_are_evenly_spaced_by_ratio_and_hold_both_ends():
    assert rates_in(Space("log", 1e-4, 1e-1), 4) == RATES
    assert rates_in(Space("log", 5e-5, 2e-3), 2) == (5e-5, 2e-3)
    assert rates_in(Space("log", 5e-5, 2e-3), 3) == (5e-5, 3.2e-4, 2e-3)


@pytest.mark.parametrize("best", RATES)
def test_a_bowl_is_searched_to_its_bottom_with_half_the_rates_at_each_rung(best: float):
    asked: list[tuple[float, float]] = []

    def bowl(trial: Trial) -> float:
        asked.append((rate_of(trial), trial.share))
        return math.log10(rate_of(trial) / best) ** 2 + 1 / trial.share

    assert best_of(RATES, (0.1, 0.3), bowl) == best
    assert [share for _, share in asked] == [0.1] * 4 + [0.3] * 2 == shares_of(4, (0.1, 0.3))
    assert {rate for rate, share in asked if share == 0.3} == set(
        sorted(RATES, key=lambda rate: abs(math.log10(rate / best)))[:2]
    )
    assert [rate for rate, _ in asked] == [*RATES, *sorted(rate for rate, _ in asked[4:])]


def test_a_rate_that_is_only_fast_at_first_loses_at_the_longer_rung():
    scores = {
        (1e-2, 0.1): 1.0,
        (1e-3, 0.1): 2.0,
        (1e-4, 0.1): 3.0,
        (1e-5, 0.1): 4.0,
        (1e-2, 0.5): 1.5,
        (1e-3, 0.5): 0.5,
    }
    found = best_of(
        (1e-5, 1e-4, 1e-3, 1e-2), (0.1, 0.5), lambda trial: scores[rate_of(trial), trial.share]
    )
    assert found == 1e-3


def test_what_is_not_finite_never_wins_and_a_tie_goes_to_the_lower_rate():
    assert best_of((1.0, 2.0), (0.5,), lambda trial: 3.0) == 1.0
    assert best_of((1.0, 2.0), (0.5,), lambda trial: math.inf) is None
    broken = {1.0: math.inf, 2.0: 5.0, 3.0: math.inf}
    asked: list[Trial] = []

    def score(trial: Trial) -> float:
        asked.append(trial)
        return broken[rate_of(trial)]

    assert best_of((1.0, 2.0, 3.0), (0.1, 0.5), score) == 2.0
    assert len(asked) == 3, "what is left alone is trained no further"
    late = {0.1: 1.0, 0.5: math.inf}
    assert best_of((1.0, 2.0, 3.0), (0.1, 0.5), lambda trial: late[trial.share]) is None


def test_an_odd_number_keeps_the_larger_half_and_one_rate_is_not_tried():
    assert shares_of(5, (0.1, 0.2, 0.4)) == [0.1] * 5 + [0.2] * 3 + [0.4] * 2
    assert shares_of(3, (0.1, 0.2, 0.4)) == [0.1] * 3 + [0.2] * 2
    assert shares_of(1, (0.1, 0.2)) == shares_of(1, ()) == []
    assert best_of((3e-4,), (), lambda trial: 1 / 0) == 3e-4


@pytest.mark.parametrize("rates", range(1, 10))
@pytest.mark.parametrize("rungs", [(0.5,), (0.1, 0.3), (0.1, 0.2, 0.4, 0.8)])
def test_so_many_trainings_are_told_as_are_asked_for(rates: int, rungs: tuple[float, ...]):
    shares: list[float] = []

    def score(trial: Trial) -> float:
        shares.append(trial.share)
        return abs(rate_of(trial) - rates / 3)

    assert best_of([float(n) for n in range(1, rates + 1)], rungs, score) is not None
    assert shares == shares_of(rates, rungs)
