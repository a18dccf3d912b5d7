"""Four rows learned by heart: a whole chain says so, a broken one says where it is broken."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from material import runs
from material.two_sided import tiny_pair
from tunesmith import api
from tunesmith.diagnosis import overfit as module
from tunesmith.diagnosis.overfit import Answer, Overfit
from tunesmith.errors import SpecError, Stopped

SIGNS = "abcdefghijklmnopqrstuvwxyz"
FAST = {"train.learning_rate": 0.01, "method": "full", "train.machine.threads": 1}


@pytest.fixture
def settings(tiny_llama: Path, tmp_path: Path) -> dict[str, Any]:
    """A run of its own rows, with more to do than a check should."""
    data = tmp_path / "rows.json"
    data.write_text(json.dumps(runs.rows()), encoding="utf-8")
    return {
        "model": str(tiny_llama),
        "data": {"path": str(data), "unknown": "accept"},
        "out": str(tmp_path / "run"),
        "train": {"epochs": 40, "batch": 16, "keep": {"patience": 2, "best_by": "exact_match"}},
        "questions": ["How far is it?"],
    }


def test_four_rows_are_learned_and_come_back(settings: dict[str, Any], tmp_path: Path) -> None:
    found = api.overfit(settings, [f"{key}={value}" for key, value in FAST.items()])
    assert found.broken is None, found.to_json()
    assert found.rows == 4 and found.last < module.LEARNED < found.first
    assert [answer.wanted for answer in found.answers] == [a.written for a in found.answers]
    assert all(answer.wanted.endswith(" km") for answer in found.answers)
    assert len({answer.id for answer in found.answers}) == 4
    assert not (tmp_path / "run").exists(), "nothing is left on the disk"
    assert "The chain is whole" in found.lines()[-1]


@pytest.mark.parametrize("two_sided", [False, True])
def test_of_long_answers_the_beginning_is_learned_and_comes_back(
    settings: dict[str, Any], tmp_path: Path, two_sided: bool
) -> None:
    rows = [{"instruction": f"{sign * 8}?", "output": f"{sign} km, " * 60} for sign in SIGNS]
    Path(settings["data"]["path"]).write_text(json.dumps(rows), encoding="utf-8")
    if two_sided:
        settings["model"] = str(tiny_pair(tmp_path / "pair"))
    found = api.overfit(settings, [f"{key}={value}" for key, value in FAST.items()])
    # At this rate a model of two sides learns them slower than the check has steps.
    assert found.last < found.first / 2, found.to_json()
    assert found.broken == ("rate" if two_sided else None), found.to_json()
    assert len(found.answers) == 4 and all(answer.cut for answer in found.answers)
    for answer in found.answers:
        sign = answer.wanted.split()[0]
        assert (f"{sign} km, " * 60).startswith(answer.wanted.strip())
        assert 20 < len(answer.wanted) < 200
    assert f"first {module.LEARNED_TOKENS} tokens" in "\n".join(found.lines())


def test_a_row_that_was_cut_before_stays_as_it_is(settings: dict[str, Any]) -> None:
    rows = [{"instruction": f"Tell {n}?", "output": f"{n} km, " * 200} for n in range(100, 140)]
    Path(settings["data"]["path"]).write_text(json.dumps(rows), encoding="utf-8")
    settings["data"] |= {"max_length": 40, "too_long": "truncate"}
    found = api.overfit(settings, [f"{key}={value}" for key, value in FAST.items()])
    assert len(found.answers) == 4 and not any(answer.cut for answer in found.answers)


def test_what_is_known_by_heart_is_trained_no_longer(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KNOWN", 20.0)  # so few weights learn no four rows to log(2)
    found = api.overfit(settings, [f"{key}={value}" for key, value in FAST.items()])
    assert 1 < found.steps < module.STEPS and found.last < found.first


def test_a_check_that_is_stopped_names_no_run_to_go_on_with(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(steps: Any) -> bool:
        if len(steps) == 1:  # a second signal would end the process
            os.kill(os.getpid(), SIGTERM)
        return False

    monkeypatch.setattr(module, "_known_by_heart", stop)
    with pytest.raises(Stopped) as stopped:
        api.overfit(settings, [f"{key}={value}" for key, value in FAST.items()])
    assert "give the same command again" in str(stopped.value)
    assert "--resume" not in str(stopped.value)


@pytest.mark.slow  # 2 s
def test_a_rate_that_moves_nothing_is_a_break_in_training(settings: dict[str, Any]) -> None:
    found = api.overfit(settings, ["train.learning_rate=1e-9"])
    assert found.broken == "training" and "learning_rate" in found.lines()[-1]
    assert found.steps == module.STEPS


@pytest.mark.slow  # 2 s
def test_another_template_for_asking_is_a_break_in_asking(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.proving import task

    real = task.answer_of

    def asked_otherwise(render: Any, chat: Any) -> Any:
        prompt, ids, text = real(render, chat)
        return prompt[: len(prompt) // 3], ids, text

    monkeypatch.setattr(task, "answer_of", asked_otherwise)
    found = api.overfit(settings, [f"{key}={value}" for key, value in FAST.items()])
    assert found.broken == "asking"
    text = "\n".join(found.lines())
    assert "learned: " in text and "written: " in text and "template" in text


def test_the_words_follow_from_the_numbers() -> None:
    same, other = Answer("a:1", "5 km", "5 km "), Answer("a:2", "5 km", "6 km")
    assert same.back and not other.back

    def of(first: float, last: float, *answers: Answer) -> str | None:
        return Overfit(4, module.STEPS, first, last, 1.0, answers).broken

    assert of(2.0, 0.01, same) is None and of(2.0, 0.01) is None
    assert of(2.0, 0.01, same, other) == "asking"
    assert of(2.0, 0.5, other) == "rate" and of(2.0, 0.5, same) is None
    assert of(2.0, 1.9, same) == "training"


@pytest.mark.parametrize(
    ("loss", "tokens", "known"), [(0.01, 44, True), (0.02, 44, False), (0.6, 1, True)]
)
def test_known_by_heart_is_more_likely_than_not_for_every_token(
    loss: float, tokens: int, known: bool
) -> None:
    """Puts the whole loss on one token, the worst case."""
    assert known == (math.exp(-loss * tokens) > 0.5)
    assert module._known_by_heart([{"loss": loss, "tokens": tokens}]) == known
    assert not module._known_by_heart([])


def test_a_broken_chain_has_exit_code_1(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tunesmith.cli.main import main

    file = tmp_path / "run.yaml"  # JSON is YAML
    file.write_text(json.dumps(settings), encoding="utf-8")
    words = [str(file), "--overfit", "--json", "train.learning_rate=1e-9"]
    assert main(["check", *words]) == 1
    assert json.loads(capsys.readouterr().out)["broken"] == "training"


@pytest.mark.parametrize("objective", ["dpo", "kto", "distill_to_base", "grpo"])
def test_what_is_not_learned_by_heart_is_refused(settings: dict[str, Any], objective: str) -> None:
    told = {"objective": objective}
    if objective == "grpo":
        told |= {"source": {"name": "rollout", "rewards": "exact"}}
    with pytest.raises(SpecError, match=f"objective: --overfit asks .* and {objective} learns"):
        api.overfit(settings | told)
