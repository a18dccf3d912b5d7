"""Several trainings on the same items: the two spreads are told apart, and the interval holds over
both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import coverage
from tunesmith.proving.judge import TUNED
from tunesmith.proving.trainings import crossed, over_trainings, training_lines


def test_spreads_of_known_size_are_found():
    draw, spread = np.random.default_rng(0), (0.2, 0.5, 1.0)
    found = [crossed(coverage.drawn_trainings(draw, 5, 200, spread)) for _ in range(200)]
    assert np.mean([one.training**2 for one in found]) == pytest.approx(0.04, rel=0.1)
    assert np.mean([one.unit**2 for one in found]) == pytest.approx(0.25, rel=0.1)
    assert np.mean([one.rest for one in found]) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("spread", [(0.0, 1.0, 1.0), (0.3, 1.0, 1.0), (0.3, 0.0, 1.0)])
@pytest.mark.parametrize("trainings", [2, 5])
def test_the_interval_holds_the_truth(trainings: int, spread: tuple[float, float, float]):
    """95 % are promised; 1 000 draws tell them from 92 %. Few trainings cost width, not truth."""
    assert coverage.trainings_hold(trainings, spread, draws=1000) >= 0.935


def test_trainings_that_agree_leave_the_interval_of_the_items_alone():
    """Then the mean over trainings is Student's t over items."""
    from scipy.stats import t

    unit_U = np.random.default_rng(0).standard_normal(80)
    found = crossed(np.stack([unit_U] * 4))
    reach = t.ppf(0.975, 79) * unit_U.std(ddof=1) / np.sqrt(80)
    assert found.interval.high - found.interval.difference == pytest.approx(reach)
    assert (found.training, found.from_trainings) == (0, 0)
    assert found.unit == pytest.approx(unit_U.std(ddof=1))


def lines(right: np.ndarray, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": f"r:{n}",
            "reference": "yes",
            "choices": {TUNED: "yes" if one else "no", "base": "no"},
        }
        | {name: given[n] for name, given in more.items()}
        for n, one in enumerate(right)
    ]


def test_it_compares_what_all_trainings_were_asked():
    draw = np.random.default_rng(1)
    tables = {seed: lines(draw.random(100) < share) for seed, share in ((7, 0.6), (8, 0.8))}
    tables[8] = tables[8][:90]
    found = over_trainings(tables, "accuracy", "base")
    means = [np.mean([one["choices"][TUNED] == "yes" for one in tables[s][:90]]) for s in (7, 8)]
    assert found["values"] == {"7": pytest.approx(means[0]), "8": pytest.approx(means[1])}
    assert found["difference"] == pytest.approx(np.mean(means)) and found["items"] == 90
    # Two trainings that differ by so much prove nothing of a third, though each one is far better.
    assert found["low"] < 0 and found["verdict"] == "not shown"
    assert found["from_trainings"] > 0.9 and found["interval"] == "t"


def test_shares_are_told_in_percent_and_their_spread_in_points() -> None:
    found: dict[str, Any] = {
        "metric": "accuracy",
        "against": "base",
        "values": {"0": 0.5, "1": 0.75},
    }
    found |= {"difference": 0.125, "low": -0.5, "high": 0.75, "verdict": "not shown"}
    found |= {
        "interval": "t",
        "between_trainings": 0.1,
        "between_items": 0.224,
        "from_trainings": 0.25,
    }
    told = "\n".join(training_lines(found))
    assert "accuracy by seed: 0: 50.0 %, 1: 75.0 %." in told
    assert (
        "against the base: +12.5 [-50.0, +75.0] (Student's t over trainings and items), not proven."
        in told
    )
    assert "between trainings 10.0 points, between items 22.4 points" in told
    told = "\n".join(training_lines(found | {"metric": "rouge_l"}))
    assert "0: 0.500, 1: 0.750" in told and "between trainings 0.100, between" in told
