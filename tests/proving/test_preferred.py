"""The proof of preferences, and what else a run that learned from them can do."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from material.fast import slow_but
from material.proved import Counted, trained
from tunesmith import api
from tunesmith.errors import DataError, SpecError
from tunesmith.export.make import export
from tunesmith.proving import preferences
from tunesmith.proving.judge import judge, metric
from tunesmith.report.build import build
from tunesmith.storage.run_folder import RunFolder


def pairs(count: int = 160, *, polite: bool = True) -> list[dict[str, str]]:
    """A polite answer is chosen, a rude one rejected, about questions that all differ; or the other
    way round.
    """
    draw = random.Random(0)
    rows = []
    for n in range(count):
        word = "".join(draw.choices("abcdefghijklmnop", k=6))
        sides = [f"Gladly, {word}.", f"No way, {word}!"]
        rows.append(
            {
                "prompt": f"Tell me of {word} {n}",
                "chosen": sides[not polite],
                "rejected": sides[polite],
            }
        )
    return rows


def judged() -> list[dict[str, Any]]:
    return [
        {
            "prompt": row["prompt"],
            "completion": row["chosen" if n % 2 else "rejected"],
            "label": bool(n % 2),
        }
        for n, row in enumerate(pairs(240))
    ]


@pytest.fixture(scope="module", params=slow_but(["dpo"], ["dpo", "orpo"]))
def pair_run(
    request: pytest.FixtureRequest, tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    folder = tmp_path_factory.mktemp(request.param)
    data = {"path": str(folder / "rows.json"), "held_out": 0.5}
    train = {"epochs": 4, "learning_rate": 5e-3, "keep": {"evaluate": 0.5, "save": 0}}
    method = {"name": "lora", "rank": 8} if request.param == "dpo" else "full"
    # The random base finds the polite answers likelier, so the rude ones are something to learn.
    rows = pairs(polite=request.param == "dpo")
    return trained(
        folder,
        tiny_llama,
        rows,
        data=data,
        objective=request.param,
        method=method,
        train=train,
        lang="en",
    )


@pytest.fixture(scope="module")
def judged_run(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("kto")
    data = {"path": str(folder / "rows.json"), "held_out": 0.5}
    train = {"epochs": 4, "learning_rate": 5e-3, "keep": {"evaluate": 0.5, "save": 0}}
    return trained(folder, tiny_llama, judged(), data=data, objective="kto", train=train, lang="en")


def test_pairs_are_proved_against_the_base(pair_run: RunFolder) -> None:
    counted = Counted()
    proof = api.prove(pair_run, listen=[counted.hear])
    assert counted.told == len(counted.begun) == 3, counted.begun
    found, objective = proof.to_json(), pair_run.resolved().run.objective.name
    assert found["primary"] == ("reward_accuracy" if objective == "dpo" else "pair_accuracy")
    assert proof.verdict == "improved" and found["items"] == 40
    assert found["contenders"]["base"]["reward_accuracy"] == 0.5
    assert found["contenders"]["tuned"][found["primary"]] > 0.9
    compared = found["differences"]["base"][found["primary"]]
    assert 0 < compared["low"] <= compared["difference"] <= compared["high"]
    records = [json.loads(line) for line in pair_run.items.read_text(encoding="utf-8").splitlines()]
    again = judge(
        records,
        ["reward_accuracy", "pair_accuracy", "nll"],
        seed=pair_run.resolved().run.train.seed,
    )
    assert again["contenders"] == {
        name: {key: values[key] for key in again["contenders"][name]}
        for name, values in found["contenders"].items()
    }
    assert "pair accuracy" in "\n".join(proof.lines())
    page = build(pair_run).read_text(encoding="utf-8")
    assert (
        "pair accuracy" in page
        and "Reward of the answers" in page
        and "Margin of the rewards" in page
    )
    assert ("KL divergence" in page) == (objective == "dpo")


@pytest.mark.slow  # 5 s
def test_judged_answers_are_proved_by_the_area_under_the_curve(judged_run: RunFolder) -> None:
    from sklearn.metrics import roc_auc_score

    found = api.prove(judged_run).to_json()
    assert found["primary"] == "reward_auc" and found["verdict"] == "improved"
    records = [
        json.loads(line) for line in judged_run.items.read_text(encoding="utf-8").splitlines()
    ]
    labels = [record["reference"] == "desirable" for record in records]
    area = roc_auc_score(labels, [record["rewards"]["tuned"] for record in records])
    assert found["contenders"]["tuned"]["reward_auc"] == pytest.approx(area) and area > 0.9
    assert found["contenders"]["base"]["reward_auc"] == 0.5
    build(judged_run)


@pytest.mark.parametrize(("kind", "told"), [(True, "no bad answer"), (False, "no good answer")])
def test_answers_of_one_kind_are_refused_before_any_work(
    judged_run: RunFolder, kind: bool, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_kind = lambda items, most: [item for item in items if item.example.desirable == kind][:3]  # noqa: E731
    monkeypatch.setattr("tunesmith.proving.contest.evenly", of_kind)
    monkeypatch.setattr(
        preferences, "known", lambda *given: pytest.fail("the likelihoods were computed")
    )
    with pytest.raises(
        DataError, match=rf"data.held_out: {told} \(label \w+\) is among the 3 held-out rows"
    ):
        api.prove(judged_run)


def test_the_interval_of_the_area_has_the_width_of_delong() -> None:
    draw = np.random.default_rng(0)
    labels = ["desirable"] * 60 + ["undesirable"] * 40
    rewards = np.r_[draw.normal(0.8, 1, 60), draw.normal(0, 1, 40)]
    one = metric("reward_auc")
    table = one.statistics(rewards.tolist(), labels)
    area, good, bad = table[0, 4], table[:60, 0], table[60:, 2]
    assert float(one.value(table.sum(0))) == pytest.approx(area)
    delong = math.sqrt(good.var(ddof=1) / 60 + bad.var(ddof=1) / 40)
    draws = [float(one.value(table[draw.integers(0, 100, 100)].sum(0))) for _ in range(3000)]
    assert np.std(draws) == pytest.approx(delong, rel=0.06)


def test_a_metric_that_pairs_cannot_have_is_refused(pair_run: RunFolder) -> None:
    from dataclasses import replace

    from tunesmith.proving.preferences import metrics_of
    from tunesmith.settings.family import OBJECTIVES

    resolved = pair_run.resolved()
    run = replace(resolved).run
    run = run.model_copy(update={"prove": run.prove.model_copy(update={"metrics": ("rouge_l",)})})
    with pytest.raises(
        SpecError, match=r"rouge_l cannot be computed on the rows of .*; use nll, pair_accuracy"
    ):
        metrics_of(run, OBJECTIVES.get(run.objective.name), judged=False)


@pytest.mark.slow  # 4 s
def test_such_a_run_answers_in_text_and_can_be_exported(
    pair_run: RunFolder, tmp_path: Path
) -> None:
    rows = [
        {"id": 7, "prompt": "Tell me of abc 1"},
        {"id": 8, "prompt": "Tell me of abc 2", "chosen": "x", "rejected": "y"},
    ]
    answered = api.predict(pair_run, rows)
    assert [row["id"] for row in answered] == [7, 8]
    bare = api.predict(pair_run, [{"prompt": row["prompt"]} for row in rows])
    assert [row["prediction"] for row in answered] == [row["prediction"] for row in bare]
    assert all(row["prediction"] for row in answered), "the answers of a row are no part of it"
    with pytest.raises(DataError):
        api.predict(pair_run, [{"id": 7}])
    assert export(pair_run, tmp_path / "merged").saved.relative < 1e-4


def test_judged_runs_answer_too(judged_run: RunFolder) -> None:
    prompt = "Tell me of abc 1"
    (answered,) = api.predict(judged_run, [{"prompt": prompt}])
    (chatted,) = api.predict(judged_run, [{"messages": [{"role": "user", "content": prompt}]}])
    assert answered["prediction"] and answered["prediction"] == chatted["prediction"]
