"""The sums over a matrix of scores, on one that can be worked by hand."""

from __future__ import annotations

from statistics import fmean

import pytest

from tunesmith.sequences import matrix

R = [
    [0.2, 0.1, 0.3],  # before
    [0.8, 0.2, 0.3],
    [0.9, 0.7, 0.2],
    [0.5, 0.6, 0.9],
]
"""Rows are stages, columns tasks."""


def test_the_sums_are_those_of_the_papers():
    up = [1, 1, 1]
    assert matrix.average(R) == pytest.approx((0.5 + 0.6 + 0.9) / 3)
    assert fmean(matrix.backward(R, up)) == pytest.approx(((0.5 - 0.8) + (0.6 - 0.7)) / 2)
    assert fmean(matrix.forward(R, up)) == pytest.approx(((0.2 - 0.1) + (0.2 - 0.3)) / 2)
    # The first task was best after the second stage, not after its own.
    assert fmean(matrix.forgotten(R, up)) == pytest.approx(((0.9 - 0.5) + (0.7 - 0.6)) / 2)


def test_where_less_is_better_a_rise_is_a_loss():
    down = [-1, -1, -1]
    turned = [[-one for one in row] for row in R]
    for of in (matrix.backward, matrix.forward, matrix.forgotten):
        assert of(turned, down) == pytest.approx(of(R, [1, 1, 1]))


def test_a_task_among_many_is_called_forgotten_where_holm_leaves_it_so():
    changes = [{"p_zero": p, "verdict": "worse"} for p in (0.001, 0.03, 0.04)]
    assert [one["verdict"] for one in matrix.corrected(changes)] == [
        "worse",
        "not shown",
        "not shown",
    ]
    assert [one["p_holm"] for one in matrix.corrected(changes)] == pytest.approx(
        [0.003, 0.06, 0.06]
    )
    assert matrix.corrected(changes[2:])[0]["verdict"] == "worse", "one alone stands by itself"
