"""Healthy runs, of which nothing is told. Each is one chance of a false alarm: those that fail here
are the count that docs/en/runs.md tells.

That they are healthy is seen without the rules: what they learn holds for rows that they were not
trained on, a proof says improved where there is one, and short ones would learn no more in twice
the steps.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from material import ailing
from material.ailing import HEALTHY
from tunesmith import api
from tunesmith.health.course import Course
from tunesmith.health.rules import FEW
from tunesmith.storage.run_folder import RunFolder

FAST = 1
"""Runs that the fast tests take."""
UPDATES = [round(one.rows * 0.8 / one.batch * one.epochs) for one in HEALTHY]
SHORT = [n for n, one in enumerate(HEALTHY) if not one.sampled and UPDATES[n] < FEW]


def gained(run: RunFolder, *, sampled: bool) -> float:
    """By which share the loss on the validation rows fell; the rise of the reward, where that is
    what is learned from.
    """
    course = Course.of(run)
    if sampled:
        rewards = [line["reward"] for line in course.made]
        return statistics.fmean(rewards[-10:]) - statistics.fmean(rewards[:10])
    (_, before), *_, (_, now) = course.watched
    return 1 - now / before


def test_the_healthy_runs_are_of_many_kinds() -> None:
    assert len(HEALTHY) >= 20 and len(SHORT) >= 4 and max(UPDATES) >= 4 * FEW
    assert sum(one.sampled for one in HEALTHY) >= 3
    assert sum(one.proved for one in HEALTHY) >= 5


@pytest.mark.parametrize(
    "number",
    [n if n < FAST else pytest.param(n, marks=pytest.mark.slow) for n in range(len(HEALTHY))],
)
def test_a_healthy_run_is_quiet(number: int, base: Path, tmp_path: Path) -> None:
    one, run = HEALTHY[number], ailing.well(tmp_path, base, number)
    assert gained(run, sampled=one.sampled) > 0.15, "it learned something"
    if one.proved:
        proof = api.prove(run, shots=0).to_json()
        # Of the two ends of an answer in this style none is right: they are drawn by chance.
        assert one.made is ailing.style or proof["verdict"] == "improved"
        items = [json.loads(line) for line in run.items.read_text(encoding="utf-8").splitlines()]
        assert sum(item["stopped"]["tuned"] for item in items) > 0.9 * len(items)
    events = [line["event"] for line in run.steps() if "event" in line]
    # What a method says at its end, and what is shown of sampled answers; and a chosen answer may
    # truly become less likely in dpo.
    no_signs = ("method", "watched_answers", "chosen_reward_falls")
    recorded = [name for name in events if name not in no_signs]
    assert [*recorded, *(sign.name for sign in api.signs_of(run))] == []


@pytest.mark.slow
@pytest.mark.parametrize("number", SHORT)
def test_a_short_healthy_run_has_little_left_to_learn(
    number: int, base: Path, tmp_path: Path
) -> None:
    run = ailing.well(tmp_path / "run", base, number)
    twice = {"train.epochs": 2 * HEALTHY[number].epochs}
    longer = ailing.well(tmp_path / "longer", base, number, **twice)
    assert len(Course.of(longer).losses) >= 2 * len(Course.of(run).losses) - 1
    assert gained(run, sampled=False) > 0.9 * gained(longer, sampled=False)
