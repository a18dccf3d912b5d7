"""What goes wrong in a run is told with its step, its numbers and what to do, as records show it that
were written for that; test_sick_runs.py and test_healthy_runs.py have real ones.
"""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith import words
from tunesmith.health.course import Course
from tunesmith.health.rules import RULES, all_signs, signs
from tunesmith.words import texts


def names(lines: list[dict[str, Any]], **more: Any) -> list[str]:
    return [sign.name for sign in signs(Course(lines, **more))]


def record(losses: list[float], watch: dict[int, float] | None = None, **more: Any) -> list[Any]:
    """Lines as a run writes them; ``more`` gives other numbers by step."""
    lines: list[dict[str, Any]] = []
    for step in range(len(losses) + 1):
        if step > 0:
            line = {"step": step, "loss": losses[step - 1], "learning_rate": 1e-4}
            line |= {"grad_norm": 1.0, "tokens": 900, "memory_gib": 2.0, "held_gib": 1.0}
            lines.append(line | {name: values[step - 1] for name, values in more.items()})
        if watch and step in watch:
            lines.append({"step": step, "evaluation": {"loss": watch[step]}})
    return lines


def falling(count: int, fast: float = 12.0) -> list[float]:
    """A loss that falls and comes to rest, with a little noise."""
    return [0.5 + 2 * 0.5 ** (n * fast / count) + 0.05 * (-1) ** n for n in range(count)]


FLAT_LOSS = [2.0 + 0.01 * (-1) ** n for n in range(40)]
SICK: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "rate_too_high": (record([2.0 + 0.3 * n for n in range(12)]), {}),
    "rate_too_low": (record(FLAT_LOSS, {0: 2.0, 20: 1.999, 40: 1.998}), {}),
    "too_few_steps": (record([3.0 - 0.15 * n for n in range(12)]), {}),
    "overfitting": (record(falling(80), {0: 2.5, 20: 1.5, 40: 1.7, 60: 2.0, 80: 2.3}), {}),
    "gradients_grow": (record(FLAT_LOSS, grad_norm=[1.2**n for n in range(40)]), {}),
    "gradients_vanish": (record([2.0, 1.9] * 4, grad_norm=[0.0] * 8), {}),
    "few_tokens_learned": (
        record(falling(80), tokens=[8] * 80),
        {"tokens": {"total": 100_000, "scored": 200}},
    ),
    "memory_creeps": (record(falling(80), held_gib=[1 + 0.01 * n for n in range(80)]), {}),
    "answers_go_on": (
        record(falling(80)),
        {"answers": [(10, n % 4 == 0) for n in range(40)], "limit": 64, "proved": 80},
    ),
}


def test_each_rule_has_a_sick_record() -> None:
    assert set(SICK) == {rule.__name__ for rule in RULES}


@pytest.mark.parametrize("name", SICK)
def test_a_sick_record_is_told_with_its_numbers_and_what_to_do(name: str) -> None:
    lines, more = SICK[name]
    found = {sign.name: sign for sign in signs(Course(lines, **more))}
    assert name in found and len(found) <= 2, "no other sign but what goes with it"
    for language in words.LANGUAGES:
        words.use(language)
        told = found[name].text()
        assert str(found[name].step) in told and "{" not in told
        assert any(mark in told for mark in ("train.", "data.", "method."))
    assert set(found[name].to_json()) == {"name", "step", "evidence", "text"}
    assert f"event_{name}" in texts("zh", "report") or name == "answers_go_on"


WELL: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "falls and rests": (record(falling(40), {0: 2.5, 20: 0.6, 40: 0.55}), {}),
    "a long run that still falls a little": (record(falling(200, 4)), {}),
    "noise only, too loud to tell a fall": (record([2.0, 1.0, 3.0, 1.5] * 10), {}),
    "nothing left to learn": (record([0.0] * 40, grad_norm=[0.0] * 40), {}),
    "noise": (record([2.0, 1.5, 1.8, 1.6, *([2.1, 1.9, 2.05, 1.95, 2.2] * 3)]), {}),
    "rises and comes back": (record([2.0, 2.6, 2.4, *falling(40)]), {}),
    "gradients that grow while it learns": (
        record(falling(40), grad_norm=[1.2**n for n in range(40)]),
        {},
    ),
    "validation that rests": (record(falling(80), {0: 2.5, 20: 1.5, 40: 1.52, 80: 1.53}), {}),
    "both curves rise": (
        record([2.0] * 20 + [1.4] * 20 + [2.1] * 40, {20: 2.0, 40: 1.5, 80: 2.4}),
        {},
    ),
    "one long batch": (record(falling(80), held_gib=[1.0] * 60 + [1.5] + [1.0] * 19), {}),
    "memory that is taken and given back": (
        record(falling(80), held_gib=[1 + 0.04 * (n % 10) for n in range(80)]),
        {},
    ),
    "a buffer that is filled": (
        record(falling(80), held_gib=[min(2.0, 1 + 0.05 * n) for n in range(80)]),
        {},
    ),
    "nothing known but the most so far, which a long batch raises": (
        record(falling(80), held_gib=[None] * 80, memory_gib=[1.0] * 60 + [1.5] * 20),
        {},
    ),
    "short answers in large updates": (
        record(falling(80), tokens=[64] * 80),
        {"tokens": {"total": 100_000, "scored": 200}},
    ),
    "rows that are learned by their label": (
        record(falling(80), tokens=[8] * 80),
        {"tokens": {"total": 100_000, "scored": 0}},
    ),
    "answers that the limit cuts, as it must": (
        record(falling(80)),
        {"answers": [(100, False)] * 40, "limit": 64},
    ),
    "a handful of steps": (record([3.0, 2.0, 1.0]), {}),
    "none": ([], {}),
}


@pytest.mark.parametrize("name", WELL)
def test_a_record_in_which_nothing_is_wrong_is_quiet(name: str) -> None:
    lines, more = WELL[name]
    assert names(lines, **more) == []


def test_memory_that_creeps_is_told_of_a_run_on_rewards_too() -> None:
    lines = record(falling(80), held_gib=[1 + 0.01 * n for n in range(80)])
    found = signs(Course([line | {"stopped": 0.9} for line in lines]))
    assert [(sign.name, sign.step) for sign in found] == [("memory_creeps", 80)]


def test_what_the_run_told_itself_is_said_again_once() -> None:
    jumped = {"event": "loss_spike", "loss": 9.5, "z": 12.0}
    still = {"step": 10, "event": "weights_did_not_move", "count": 2, "of": 4, "first": ["a", "b"]}
    bad = {"step": 12, "event": "not_finite", "loss": "nan", "grad_norm": 1.0, "rows": ["r:1"]}
    lines = [still, bad | {"attempt": 1}, {"step": 20} | jumped, {"step": 30} | jumped]
    assert [(sign.name, sign.step) for sign in all_signs(Course([*record([]), *lines]))] == [
        ("weights_did_not_move", 10),
        ("loss_spike", 20),
    ], "an update that succeeds when it is tried again is no sign"
    (found,) = all_signs(Course([bad | {"attempt": 2}]))
    assert "rows: r:1" in found.text() and "train.learning_rate" in found.text()
