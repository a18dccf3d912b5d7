"""What goes wrong in a run is told with its step, its numbers and what to do; of healthy runs nothing
is.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from material import ailing
from material.ailing import HEALTHY, LORA
from tunesmith import api, words
from tunesmith.cli.main import main
from tunesmith.events.run import StepMade
from tunesmith.health.course import Course
from tunesmith.health.rules import RULES, signs
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
    names = {rule.__name__ for rule in RULES}
    assert set(SICK) == names
    assert {*REAL, "rate_too_high", "answers_go_on"} == names, "and a run that is truly sick"


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


def test_the_runs_own_record_says_it_once_and_doctor_says_it_again(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"method": "full", "train.learning_rate": 3.0, "train.schedule": "constant"}
    changes |= {"train.steps": 12, "train.batch": 4}
    run = ailing.trained(tmp_path, tiny_llama, "sft", **changes)
    told = [line["event"] for line in run.steps() if "event" in line]
    assert told.count("rate_too_high") == 1
    assert "the loss rises" in run.report.read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["doctor", str(run.path), "--lang", "en"]) == 1
    assert "lower train.learning_rate to a third" in capsys.readouterr().out
    assert main(["doctor", str(run.path), "--json"]) == 1
    (first, *_) = json.loads(capsys.readouterr().out)["signs"]
    assert first["name"] == "rate_too_high" and first["evidence"]["rate"] == 3.0
    assert main(["doctor", str(tmp_path / "absent"), "--lang", "en"]) == 2
    assert "absent" in capsys.readouterr().err


LONG = [
    {"instruction": "which of these is it? " + "so it goes on " * 36, "output": f"{n % 3}"}
    for n in range(80)
]
NAMES, SAID = random.Random(0), ["red", "a blue one", "six cats", "no"]
REAL: dict[str, dict[str, Any]] = {
    "rate_too_low": {"train.learning_rate": 1e-7, "train.steps": 30},
    "too_few_steps": {
        "method": "full",
        "train.learning_rate": 1e-3,
        "train.schedule": "constant",
        "train.warmup": 0,
        "train.steps": 24,
    },
    # Answers that follow from no question: the held-out ones only become less likely.
    "overfitting": {
        "rows": [
            {"instruction": f"name {n * 7919 % 1000}", "output": NAMES.choice(SAID)}
            for n in range(60)
        ],
        "method": "full",
        "train.learning_rate": 1e-2,
        "train.schedule": "constant",
        "train.epochs": 40,
        "train.keep.evaluate": 0.1,
    },
    "gradients_grow": {"train.learning_rate": 1e-7, "train.steps": 30},
    "gradients_vanish": {"method": {"name": "lora", "rank": 4}, "train.steps": 8},
    "few_tokens_learned": {"rows": LONG, "train.batch": 2, "train.steps": 12},
    "memory_creeps": {"train.steps": 60, "train.batch": 4},
}


FAULTS: dict[str, Callable[[Any, int], Any]] = {
    "gradients_vanish": lambda total, call: total * 0.0,
    # The same loss, with a gradient that is a quarter larger at each call.
    "gradients_grow": lambda total, call: total + (1.25**call - 1) * (total - total.detach()),
}
"""What is done to the sum of losses in runs whose gradients are sick."""


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_a_sick_run_is_told(
    name: str, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bytes] = []
    changes = {"method": LORA, "train.learning_rate": 1e-2, **REAL[name]}
    if name == "memory_creeps":
        # Less in all than loading gave back: the most memory of the run does not show it.
        changes["listen"] = [
            lambda event: kept.append(b"x" * 3_000_000) if isinstance(event, StepMade) else None
        ]
    if name in FAULTS:
        from tunesmith.objectives.sft import Sft

        real, calls = Sft.loss, count()

        def faulty(self: Sft, models: Any, batch: Any) -> Any:
            found = real(self, models, batch)
            return type(found)(FAULTS[name](found.total, next(calls)), found.metrics)

        monkeypatch.setattr(Sft, "loss", faulty)
    run = ailing.trained(tmp_path, tiny_llama, "sft", **changes)
    assert name in [sign.name for sign in api.signs_of(run)]
    assert name in [line.get("event") for line in run.steps()]


@pytest.mark.slow
def test_answers_that_never_end_are_told_after_the_proof(tiny_llama: Path, tmp_path: Path) -> None:
    changes = {"method": LORA, "train.learning_rate": 1e-6, "train.steps": 10}
    run = ailing.trained(tmp_path, tiny_llama, "sft", **changes)
    api.prove(run)
    told = {sign.name: sign for sign in api.signs_of(run)}["answers_go_on"].evidence
    items = [json.loads(line) for line in run.items.read_text(encoding="utf-8").splitlines()]
    fitting = [one for one in items if one["nll"]["tuned"][1] < told["limit"]]
    going = [one for one in fitting if not one["stopped"]["tuned"]]
    assert (told["count"], told["of"]) == (len(going), len(fitting)) and len(going) > 0
    proof = json.loads(run.proof.read_text(encoding="utf-8"))
    assert told["limit"] == proof["generation"]["max_new_tokens"]


@pytest.mark.parametrize(
    "number",
    [n if n < 3 else pytest.param(n, marks=pytest.mark.slow) for n in range(len(HEALTHY))],
)
def test_a_healthy_run_is_quiet(number: int, tiny_llama: Path, tmp_path: Path) -> None:
    """Each is one chance of a false alarm: those that fail here are the count that the docs tell."""
    objective, method, rate, seed = HEALTHY[number]
    changes = {"method": method, "train.learning_rate": rate, "seed": seed}
    run = ailing.trained(tmp_path, tiny_llama, objective, **changes)
    losses = Course.of(run).losses
    assert sum(losses[-5:]) < sum(losses[:5]), "it learned something"
    events = [line["event"] for line in run.steps() if "event" in line]
    # What a method says at its end; and a chosen answer may truly become less likely in dpo.
    recorded = [name for name in events if name not in ("method", "chosen_reward_falls")]
    assert [*recorded, *(sign.name for sign in api.signs_of(run))] == []
