"""Groups of items, and how many comparisons were made, count in the verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunesmith.proving import statistics
from tunesmith.proving.judge import judge, unit_values, units_of

METRICS = ["pair_accuracy"]


def items(right: dict[str, np.ndarray], groups: list[str] | None = None) -> list[dict[str, Any]]:
    """Pairs that each contender told right or wrong, of these groups."""
    count = len(right["tuned"])
    plain: list[dict[str, Any]] = [
        {
            "id": f"rows.json:{place}",
            "reference": "",
            "pairs": {name: [float(one[place]), 0.5] for name, one in right.items()},
        }
        for place in range(count)
    ]
    return [
        item | ({} if groups is None else {"group": groups[place]})
        for place, item in enumerate(plain)
    ]


def test_items_of_one_group_are_drawn_together():
    # Every fifth group is gained whole, so ten items gained are two groups gained.
    gained = np.repeat([True, False, False, False, False] * 4, 5)
    right = {"tuned": gained, "base": np.zeros(100, bool)}
    groups = [f"patient {place // 5}" for place in range(100)]
    decides = ("base", "pair_accuracy")
    alone = judge(items(right), METRICS, seed=0, decides=decides)["differences"]["base"]
    grouped = judge(items(right, groups), METRICS, seed=0, decides=decides)["differences"]["base"]
    one, other = alone["pair_accuracy"], grouped["pair_accuracy"]
    assert (one["units"], other["units"]) == (100, 20)
    assert one["difference"] == other["difference"] == pytest.approx(0.2)
    # The root of 4 times as much in a group's sum of 5 as in one item's, and few units.
    assert 2.1 < (other["high"] - other["low"]) / (one["high"] - one["low"]) < 3
    assert (one["interval"], other["interval"]) == ("score", "bootstrap")
    assert "p" in one and "p" not in other, "McNemar's test is for items by themselves"


def test_groups_of_one_item_change_nothing():
    draw = np.random.default_rng(3)
    right = {"tuned": draw.random(60) < 0.8, "base": draw.random(60) < 0.5}
    alone = judge(items(right), METRICS, seed=0)
    assert judge(items(right, [str(place) for place in range(60)]), METRICS, seed=0) == alone


def test_a_correlation_is_drawn_by_groups_too():
    draw = np.random.default_rng(4)
    truth = draw.normal(size=20).repeat(5) + 0.3 * draw.normal(size=100)
    given = {"tuned": truth + 0.1 * draw.normal(size=100), "base": truth + draw.normal(size=100)}
    rows: list[dict[str, Any]] = [
        {
            "id": f"rows.json:{place}",
            "reference": float(truth[place]),
            "choices": {name: float(one[place]) for name, one in given.items()},
        }
        for place in range(100)
    ]
    grouped = [row | {"group": str(place // 5)} for place, row in enumerate(rows)]
    how: dict[str, Any] = {"seed": 0, "resamples": 800}
    alone, together = (
        judge(some, ["spearman"], **how)["differences"]["base"]["spearman"]
        for some in (rows, grouped)
    )
    assert together["units"] == 20 and alone["units"] == 100
    assert alone["difference"] == together["difference"] and alone["low"] != together["low"]
    assert together["verdict"] == "improved"


def test_a_word_beside_the_one_that_decides_is_corrected_for_their_number():
    draw = np.random.default_rng(6)
    tuned = draw.random(200) < 0.70
    # Six rivals that are as good as chance makes them; the first differs at p of about 3 %.
    rivals = {f"rival {place}": draw.random(200) < 0.70 for place in range(5)}
    rivals["near"] = tuned & ~np.isin(np.arange(200), np.flatnonzero(tuned)[:9])
    rivals["near"] |= np.isin(np.arange(200), np.flatnonzero(~tuned)[:2])
    found = judge(items({"tuned": tuned, "base": tuned, **rivals}), METRICS, seed=0)
    near = found["differences"]["near"]["pair_accuracy"]
    assert near["low"] > 0 and near["p_zero"] < 0.05
    assert near["p_holm"] > 0.05 and (near["verdict"], near["why"]) == (
        "not shown",
        "many_compared",
    )
    decided = judge(
        items({"tuned": tuned, "base": tuned, **rivals}),
        METRICS,
        seed=0,
        decides=("near", "pair_accuracy"),
    )["differences"]["near"]["pair_accuracy"]
    assert decided["verdict"] == "improved" and "p_holm" not in decided


def test_a_large_group_among_small_ones_widens_the_interval():
    draw = np.random.default_rng(5)
    right = {"tuned": draw.random(100) < 0.7, "base": draw.random(100) < 0.5}
    even = [str(place // 4) for place in range(100)]
    one_large = [str(max(0, place - 75)) for place in range(100)]
    wide = []
    for groups in (even, one_large):
        told = judge(items(right, groups), METRICS, seed=0)["differences"]["base"]["pair_accuracy"]
        assert told["units"] == 25
        wide.append(told["high"] - told["low"])
    assert wide[1] > 2 * wide[0]


def test_too_few_groups_give_no_verdict_however_many_items_they_hold():
    right = {"tuned": np.ones(400, bool), "base": np.zeros(400, bool)}
    rows = items(right, [str(place % 19) for place in range(400)])
    found = judge(rows, METRICS, seed=0)["differences"]["base"]["pair_accuracy"]
    assert (found["verdict"], found["why"]) == ("not shown", "few")
    assert units_of(rows).max() + 1 == 19 < statistics.FEWEST


def test_an_interval_of_shares_ends_where_shares_do():
    gained = np.ones(48, bool)
    gained[:2] = False
    right = {"tuned": np.ones(48, bool), "base": ~gained}
    groups = [f"patient {place // 2}" for place in range(48)]
    told = judge(items(right, groups), METRICS, seed=0, decides=("base", "pair_accuracy"))
    one = told["differences"]["base"]["pair_accuracy"]
    assert one["difference"] == pytest.approx(23 / 24) and one["high"] == 1 and one["low"] > 0.5


def test_of_a_mean_each_unit_says_its_own_score():
    right = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    value, said = unit_values(items({"tuned": right}), "pair_accuracy", "tuned")
    assert value == pytest.approx(right.mean()) and said == pytest.approx(right)


def test_of_any_other_metric_each_unit_says_what_the_metric_loses_without_it():
    """Pseudo-values of the jackknife (Tukey 1958), against the metric of scikit-learn over all
    items but one.
    """
    from sklearn.metrics import f1_score

    truth = [*"aabbbcaacb"]
    given = [*"abbbcca?cb"]
    rows = [
        {"id": f"rows.json:{n}", "reference": one, "choices": {"tuned": other}}
        for n, (one, other) in enumerate(zip(truth, given, strict=True))
    ]

    def macro(left_out: int | None) -> float:
        kept = [n for n in range(len(truth)) if n != left_out]
        names = sorted({truth[n] for n in kept})
        one, other = [truth[n] for n in kept], [given[n] for n in kept]
        return float(f1_score(one, other, labels=names, average="macro"))

    value, said = unit_values(rows, "macro_f1", "tuned")
    count = len(truth)
    assert value == pytest.approx(macro(None))
    assert said == pytest.approx([count * value - (count - 1) * macro(n) for n in range(count)])
