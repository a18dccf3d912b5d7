"""Successive halving where the best rate is known in closed form."""

from __future__ import annotations

import math

import pytest

from tunesmith.tournaments.halving import halve, rates_between, survivors, trainings


def test_rates_are_evenly_spaced_by_ratio_and_hold_both_ends():
    assert rates_between(1e-4, 1e-1, 4, own=7e-3) == (1e-4, 1e-3, 1e-2, 1e-1)
    assert rates_between(5e-5, 2e-3, 2, own=7e-3) == (5e-5, 2e-3)
    assert rates_between(1e-4, 1e-1, 1, own=7e-3) == (7e-3,)


@pytest.mark.parametrize("best", [1e-4, 1e-3, 1e-2, 1e-1])
def test_a_bowl_is_searched_to_its_bottom_with_half_the_rates_at_each_rung(best: float):
    asked: list[tuple[float, float]] = []

    def bowl(rate: float, share: float) -> float:
        asked.append((rate, share))
        return math.log10(rate / best) ** 2 + 1 / share

    rates = (1e-4, 1e-3, 1e-2, 1e-1)
    assert halve(rates, (0.1, 0.3), bowl) == best
    assert [share for _, share in asked] == [0.1] * 4 + [0.3] * 2 == trainings(4, (0.1, 0.3))
    assert {rate for rate, share in asked if share == 0.3} == set(
        sorted(rates, key=lambda rate: abs(math.log10(rate / best)))[:2]
    )


def test_a_rate_that_is_only_fast_at_first_loses_at_the_longer_rung():
    scores = {
        (1e-2, 0.1): 1.0,
        (1e-3, 0.1): 2.0,
        (1e-4, 0.1): 3.0,
        (1e-5, 0.1): 4.0,
        (1e-2, 0.5): 1.5,
        (1e-3, 0.5): 0.5,
    }
    assert (
        halve((1e-5, 1e-4, 1e-3, 1e-2), (0.1, 0.5), lambda rate, share: scores[rate, share]) == 1e-3
    )


def test_what_is_not_finite_never_survives_and_a_tie_goes_to_the_lower_rate():
    assert survivors((1.0, 2.0, 3.0), (math.inf, 5.0, math.nan), last=False) == (2.0,)
    assert survivors((1.0, 2.0), (3.0, 3.0), last=True) == (1.0,)
    assert halve((1.0, 2.0), (0.5,), lambda rate, share: math.inf) is None


def test_an_odd_number_keeps_the_larger_half_and_one_rate_is_not_tried():
    assert trainings(5, (0.1, 0.2, 0.4)) == [0.1] * 5 + [0.2] * 3 + [0.4] * 2
    assert trainings(1, (0.1, 0.2)) == []
    assert halve((3e-4,), (0.1,), lambda rate, share: 1 / 0) == 3e-4
