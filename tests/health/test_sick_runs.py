"""Each sign is told of a real run that is truly sick: of tiny models, for seconds each.

Two are told of real runs elsewhere: ``far_from_base`` in tests/training/test_sampled_health.py, and
``sampler_apart``, for which sampler and training must be made to differ, in
tests/training/sources/test_rollout.py. Gradients that vanish or grow, and memory that is not given
back, are made by a fault that is put into a real run: nothing in the settings leads to them.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from material import ailing
from material.ailing import LORA, chatty, rewarded
from tunesmith import api, words
from tunesmith.cli.main import main
from tunesmith.errors import TrainingError
from tunesmith.events.run import StepMade
from tunesmith.health.rules import RULES, TOLD
from tunesmith.health.signs import Sign
from tunesmith.storage.run_folder import RunFolder

LONG = [
    {"instruction": "which of these is it? " + "so it goes on " * 36, "output": f"{n % 3}"}
    for n in range(80)
]
NAMES, SAID = random.Random(0), ["red", "a blue one", "six cats", "no"]
ON_ROWS: dict[str, dict[str, Any]] = {
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
        "train.learning_rate": 3e-3,
        "train.schedule": "constant",
        "train.epochs": 60,
        "train.keep.evaluate": 0.1,
    },
    "gradients_grow": {"train.learning_rate": 1e-7, "train.steps": 30},
    "gradients_vanish": {"method": {"name": "lora", "rank": 4}, "train.steps": 8},
    "few_tokens_learned": {"rows": LONG, "train.batch": 2, "train.steps": 12},
    "memory_creeps": {"train.steps": 60, "train.batch": 4},
    # Next to a weight of 0.01, so small a change is none in fp32.
    "weights_did_not_move": {
        "method": "full",
        "train.learning_rate": 1e-12,
        "train.steps": 12,
    },
}
FAULTS: dict[str, Callable[[Any, int], Any]] = {
    "gradients_vanish": lambda total, call: total * 0.0,
    # The same loss, with a gradient that is a quarter larger at each call.
    "gradients_grow": lambda total, call: total + (1.25**call - 1) * (total - total.detach()),
}
"""What is done to the sum of losses in runs whose gradients are sick."""
IN_OTHER_TESTS = {"rate_too_high", "answers_go_on", "loss_spike", "not_finite", "answers_alike"}
FOR_LENGTH = {"answers_grow", "reward_for_length", "unseen_reward_stays"}
ELSEWHERE = {"far_from_base", "sampler_apart"}


def test_each_sign_has_a_sick_run() -> None:
    known = {*(rule.__name__ for rule in RULES), *TOLD}
    assert known == {*ON_ROWS, *IN_OTHER_TESTS, *FOR_LENGTH, *ELSEWHERE}


def told(run: RunFolder) -> dict[str, Sign]:
    """What ``tunesmith doctor`` says of a run, by name; each with its step and what to do, in both
    languages.
    """
    found = {sign.name: sign for sign in api.signs_of(run)}
    for language in words.LANGUAGES:
        words.use(language)
        for sign in found.values():
            text = sign.text()
            assert str(sign.step) in text and "{" not in text
            assert any(
                mark in text
                for mark in ("train.", "data.", "method.", "objective.", "source.", "length")
            )
    words.use("en")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_ROWS)
def test_a_sick_run_is_told(
    name: str, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bytes] = []
    changes = {"method": LORA, "train.learning_rate": 1e-2, **ON_ROWS[name]}
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
    assert name in told(run)
    assert name in [line.get("event") for line in run.steps()]


def test_the_runs_own_record_says_it_once_and_doctor_says_it_again(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"method": "full", "train.learning_rate": 3.0, "train.schedule": "constant"}
    changes |= {"train.steps": 12, "train.batch": 4}
    run = ailing.trained(tmp_path, tiny_llama, "sft", **changes)
    recorded = [line["event"] for line in run.steps() if "event" in line]
    assert recorded.count("rate_too_high") == 1
    assert "the loss rises" in run.report.read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["doctor", str(run.path), "--lang", "en"]) == 1
    assert "lower train.learning_rate to a third" in capsys.readouterr().out
    assert main(["doctor", str(run.path), "--json"]) == 1
    (first, *_) = json.loads(capsys.readouterr().out)["signs"]
    assert first["name"] == "rate_too_high" and first["evidence"]["rate"] == 3.0
    assert main(["doctor", str(tmp_path / "absent"), "--lang", "en"]) == 2
    assert "absent" in capsys.readouterr().err


@pytest.mark.slow
def test_answers_that_never_end_are_told_after_the_proof(tiny_llama: Path, tmp_path: Path) -> None:
    changes = {"method": LORA, "train.learning_rate": 1e-6, "train.steps": 10}
    run = ailing.trained(tmp_path, tiny_llama, "sft", **changes)
    api.prove(run)
    found = told(run)["answers_go_on"].evidence
    items = [json.loads(line) for line in run.items.read_text(encoding="utf-8").splitlines()]
    fitting = [one for one in items if one["nll"]["tuned"][1] < found["limit"]]
    going = [one for one in fitting if not one["stopped"]["tuned"]]
    assert (found["count"], found["of"]) == (len(going), len(fitting)) and len(going) > 0
    proof = json.loads(run.proof.read_text(encoding="utf-8"))
    assert found["limit"] == proof["generation"]["max_new_tokens"]


@pytest.mark.slow
def test_poisoned_rows_at_the_end_are_a_spike(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Thirty updates of rows that the base knows, then five of answers in another language."""
    draw = random.Random(1)
    poison = [
        {"instruction": f"cat {n}", "output": "".join(draw.sample("甘草黄芪当归白术茯苓川芎", 8))}
        for n in range(40)
    ]
    rows = [row | {"place": n} for n, row in enumerate([*chatty("sft", 200, 0), *poison])]
    changes = {"method": "full", "train.learning_rate": 1e-3, "train.batch": 8, "train.epochs": 1}
    changes |= {"data.held_out": 0, "data.curriculum": "place"}
    run = ailing.trained(tmp_path, base, "sft", rows=rows, **changes)
    sign = told(run)["loss_spike"]
    assert sign.step == 28, "the third of the poisoned updates"
    losses = {line["step"]: line["loss"] for line in run.steps() if "learning_rate" in line}
    assert sign.evidence["loss"] == pytest.approx(losses[28], abs=1e-4) and losses[25] < 2
    assert sign.text() in run.report.read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["doctor", str(run.path), "--lang", "en"]) == 1
    assert "the loss jumped" in capsys.readouterr().out


@pytest.mark.slow
def test_a_base_whose_logits_overflow_is_told_where_it_never_becomes_finite(
    tiny_llama: Path, tmp_path: Path
) -> None:
    """Each weight is finite, and the sum of a few of them is not."""
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(tiny_llama, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    head = weights["lm_head.weight"]
    weights["lm_head.weight"] = head / head.abs().max() * 3e38
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError, match="not finite in 4 consecutive steps"):
        ailing.trained(tmp_path, broken, "sft", method="full", **{"train.steps": 12})
    sign = told(RunFolder(tmp_path / "run"))["not_finite"]
    assert sign.step == 1 and len(sign.evidence["rows"]) > 0


@pytest.mark.slow
def test_a_reward_that_pays_for_length_is_told(base: Path, tmp_path: Path) -> None:
    """Answers grow towards the limit, the reward rises by that alone, and what it should have stood
    for does not.
    """
    more = {"train.learning_rate": 1e-3, "train.keep": {"evaluate": 0.5, "save": 0}}
    more |= {"source.max_new_tokens": 40, "source.prove_by": "REWARDS:begins"}
    changes = rewarded("words", **more)
    rows = chatty("grpo", 300, 0)
    run = ailing.trained(tmp_path, base, "grpo", rows=rows, method="full", **changes)
    found = told(run)
    assert set(found) >= FOR_LENGTH
    paid = found["reward_for_length"].evidence
    assert paid["worth"] == pytest.approx(paid["gained"], rel=0.2) and paid["now"] > paid["before"]


@pytest.mark.slow
def test_answers_that_become_one_answer_are_told(base: Path, tmp_path: Path) -> None:
    """Within a question only brevity is paid for, and which questions come decides the mean: the
    shortest answer is soon the only one, and the reward has not risen.
    """
    changes = rewarded("hard_or_easy", steps=120, **{"train.learning_rate": 3e-3})
    rows = chatty("grpo", 300, 0)
    run = ailing.trained(tmp_path, base, "grpo", rows=rows, method="full", **changes)
    found = told(run)
    assert set(found) == {"answers_alike"}
    assert found["answers_alike"].evidence["now"] < 0.1 * found["answers_alike"].evidence["before"]
