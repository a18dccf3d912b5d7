from __future__ import annotations

import math
from typing import Any

import pytest

from tunesmith.settings.family import SCHEDULES
from tunesmith.training.schedules import warmup_steps


def made(name: str, **settings: Any) -> Any:
    return SCHEDULES.make(SCHEDULES.config({"name": name, **settings}))


def test_each_shape_has_its_closed_form():
    factors = {
        "constant": lambda p: 1.0,
        "linear": lambda p: 1 - p,
        "cosine": lambda p: (1 + math.cos(math.pi * p)) / 2,
        "warmup_stable_decay": lambda p: 1.0 if p <= 0.8 else (1 - p) / 0.2,
    }
    for name, shape in factors.items():
        schedule = made(name)
        for step in range(10, 110):
            assert schedule.factor(step, 110, 10) == pytest.approx(
                shape((step - 10) / 100), abs=1e-12
            ), (name, step)


def test_restarts_repeat_one_cosine_in_each_cycle():
    schedule = made("cosine_with_restarts")
    found = [schedule.factor(step, 30, 0, 3) for step in range(30)]
    assert found[0] == found[10] == found[20] == 1.0
    assert found[10:20] == pytest.approx(found[:10])
    assert found[20:] == pytest.approx(found[:10])
    assert found[5] == pytest.approx(0.5)
    # 49 * (1 / 49) is just below 1: the peak must not be missed by rounding.
    assert schedule.factor(1, 49, 0, 49) == 1.0


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_warm_up_is_linear_and_never_starts_at_zero(name):
    schedule = made(name)
    assert [schedule.factor(step, 20, 4) for step in range(5)] == pytest.approx(
        [0.2, 0.4, 0.6, 0.8, 1.0]
    )


def test_warmup_is_a_share_below_one_and_steps_from_one_on():
    assert warmup_steps(0.03, 100) == 3
    assert warmup_steps(0, 100) == 0
    assert warmup_steps(7, 100) == 7
    assert warmup_steps(500, 100) == 100
