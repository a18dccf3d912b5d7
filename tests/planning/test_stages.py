"""Runs that go on from others, and several of them from one file: parents, adapters, and going on
after a stop.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import tunesmith as ts
from material.runs import rows, weights
from material.written_rows import written
from tunesmith import api
from tunesmith.errors import SpecError
from tunesmith.events.stream import Event
from tunesmith.events.verbs import StageBegun, StageKept
from tunesmith.models.finding.hub import find_model
from tunesmith.models.saved import load_run
from tunesmith.planning.stages import stages_of
from tunesmith.storage.run_folder import RunFolder


def file_of(folder: Path, model: Path, **more: Any) -> dict[str, Any]:
    """sft, a reward model and dpo, two steps each."""
    answers = folder / "answers.json"
    answers.write_text(json.dumps(rows(24)), encoding="utf-8")
    pairs = str(written(folder / "pairs.jsonl", 24))
    return {
        "model": str(model),
        "out": str(folder / "runs"),
        "method": {"name": "lora", "rank": 2},
        "train": {"steps": 2, "batch": 4, "learning_rate": 1e-2, "machine": {"threads": 1}},
        "stages": [
            {"objective": "sft", "data": {"path": str(answers), "held_out": 0}},
            {"objective": "reward", "data": {"path": pairs, "held_out": 0}, "train": {"steps": 1}},
            {"objective": "dpo", "data": {"path": pairs, "held_out": 0}},
        ],
        **more,
    }


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))


def test_each_stage_goes_on_from_the_last_that_writes(tiny_llama: Path, tmp_path: Path) -> None:
    settings = file_of(tmp_path, tiny_llama)
    stages = stages_of(settings)
    assert [(one.name, one.parent) for one in stages] == [
        ("sft", None),
        ("reward", "sft"),
        ("dpo", "sft"),
    ]
    assert [one.run.model.path for one in stages[1:]] == [str(tmp_path / "runs/sft")] * 2
    assert [one.run.train.steps for one in stages] == [2, 1, 2] and stages[1].run.train.batch == 4
    own = stages_of(
        settings
        | {
            "stages": [{"objective": "sft"}, {"objective": "dpo", "model": "other"}],
            "data": "x.json",
        }
    )
    assert own[1].run.model.path == "other" and own[1].parent is None
    twice = stages_of(
        settings | {"stages": [{"objective": "sft"}, {"objective": "sft"}], "data": "x.json"}
    )
    assert [one.run.out.rpartition("/")[2] for one in twice] == ["sft", "sft-2"] and twice[
        1
    ].parent == "sft"


def test_a_stage_that_prunes_stands_between_two_that_train(
    tiny_llama: Path, tmp_path: Path
) -> None:
    """What comes after it goes on from the lighter model; a teacher that is not named is the model
    that was pruned.
    """
    answers = file_of(tmp_path, tiny_llama)["stages"][0]
    light = {"prune": {"how": "channels", "share": 0.5}, "data": answers["data"]}
    taught = {"objective": {"name": "distill", "hard": 0.5}, "data": answers["data"]}
    stages = stages_of(file_of(tmp_path, tiny_llama, stages=[answers, light, taught]))
    first, middle, last = stages
    assert [(one.name, one.parent, one.prunes) for one in stages] == [
        ("sft", None, False),
        ("prune", "sft", True),
        ("distill", "prune", False),
    ]
    assert middle.run.model.path == first.run.out and last.run.model.path == middle.run.out
    assert last.run.objective.teacher == first.run.out and last.run.objective.hard == 0.5
    named = {"objective": {"name": "distill", "teacher": "other"}, "data": answers["data"]}
    chosen = stages_of(file_of(tmp_path, tiny_llama, stages=[answers, light, named]))
    assert chosen[2].run.objective.teacher == "other"


def test_what_cannot_be_pruned_is_told_before_anything_is_trained(
    tiny_llama: Path, tmp_path: Path
) -> None:
    answers = file_of(tmp_path, tiny_llama)["stages"][0]
    light = {"prune": {"how": "layers", "share": 0.1}, "data": answers["data"]}
    with pytest.raises(SpecError, match=r"prune: prune\.share: .*less than one layer"):
        api.rlhf(file_of(tmp_path, tiny_llama, stages=[answers, light]))
    assert not (tmp_path / "runs").exists()


def test_a_setting_may_be_for_one_stage(tiny_llama: Path, tmp_path: Path) -> None:
    settings = file_of(tmp_path, tiny_llama)
    for overrides in (
        [
            "stages.0.train.steps=5",
            "train.steps=4",
            "stages.2.objective.beta=0.3",
            "stages.2.out=o",
        ],
        {
            "stages.0.train.steps": 5,
            "train.steps": 4,
            "stages.2.objective.beta": 0.3,
            "stages.2.out": "o",
        },
    ):
        stages = stages_of(settings, overrides)
        assert [one.run.train.steps for one in stages] == [5, 4, 4]
        assert stages[2].run.objective.beta == 0.3 and stages[2].run.out == "o"
    with pytest.raises(
        SpecError,
        match=(
            r"stages\.3\.seed: names no setting of a stage: the stages are 0 to 2, as in stages\.0"
        ),
    ):
        stages_of(settings, ["stages.3.seed=1"])
    with pytest.raises(SpecError, match=r"^sft, reward, dpo: no/such/model: ") as told:
        ts.rlhf(settings | {"model": "no/such/model"})
    assert len(told.value.problems) == 1, "what all stages share is told once"


def test_trained_stopped_and_gone_on(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = file_of(tmp_path, tiny_llama)
    trained: list[str] = []
    whole = api.train

    def stopping(one: Any, *given: Any, **how: Any) -> RunFolder:
        trained.append(
            ("resumed " if how.get("resume") else "")
            + RunFolder(Path(one if isinstance(one, str) else one.out)).path.name
        )
        if len(trained) == 2:
            raise KeyboardInterrupt
        return whole(one, *given, **how)

    monkeypatch.setattr("tunesmith.api.training.train", stopping)
    with pytest.raises(KeyboardInterrupt):
        ts.rlhf(settings)
    plans: list[Any] = []
    heard: list[Event] = []
    folders = ts.rlhf(settings, on_plan=plans.append, listen=[heard.append])
    stages = [one for one in heard if isinstance(one, StageBegun | StageKept)]
    assert [(type(one), one.name) for one in stages] == [
        (StageKept, "sft"),
        (StageBegun, "reward"),
        (StageBegun, "dpo"),
    ]
    assert [(plan.resolved.run.objective.name, plan.prepared.ledger.rows) for plan in plans] == [
        ("reward", 24),
        ("dpo", 24),
    ]
    assert trained == ["sft", "reward", "reward", "dpo"] and [one.path.name for one in folders] == [
        "sft",
        "reward",
        "dpo",
    ]
    assert ts.rlhf(settings) and len(trained) == 4, "what is finished is not trained again"
    (folders[2].model / "tunesmith.json").rename(tmp_path / "kept.json")
    (folders[2].model).rename(tmp_path / "dpo-model")
    ts.rlhf(settings)
    assert trained[-1] == "resumed dpo" and weights(folders[2].model) == weights(
        tmp_path / "dpo-model"
    )
    settings["stages"][0]["train"] = {"steps": 3}
    with pytest.raises(SpecError, match=r"was begun with other settings \(train.steps\)"):
        ts.rlhf(settings)

    parent = json.loads((folders[2].model / "tunesmith.json").read_text(encoding="utf-8"))["parent"]
    assert (parent["objective"], parent["merged"], parent["step"]) == ("sft", True, 2)
    told = folders[2].plan.read_text(encoding="utf-8")
    assert (
        f"continues from the run {folders[0].path} (sft, lora, step 2): its adapter is merged"
        in told
    )

    # The reference of dpo is what sft made: the base of its run is the tuned model of that one.
    base, tuned = load_run(folders[2], tuned=False), load_run(folders[0])
    ids = torch.arange(8)[None]
    with torch.no_grad():
        assert torch.allclose(
            base.model(input_ids=ids).logits, tuned.model(input_ids=ids).logits, atol=1e-5
        )
    first = next(
        line for line in folders[2].steps() if "margin" in line and "learning_rate" in line
    )
    assert first["loss"] == pytest.approx(0.693147, abs=1e-5) and first[
        "rewards/chosen"
    ] == pytest.approx(0, abs=1e-5)


def test_all_that_is_wrong_is_told_before_anything_is_trained(
    tiny_llama: Path, tmp_path: Path
) -> None:
    settings = file_of(tmp_path, tiny_llama)
    settings["stages"][1] |= {"objective": "prefer"}
    settings["stages"][2] |= {"method": "lroa"}
    with pytest.raises(SpecError) as told:
        stages_of(settings)
    assert "stages[1].objective: unknown objective 'prefer'" in str(
        told.value
    ) and "stages[2].method" in str(told.value)
    settings = file_of(tmp_path, tiny_llama)
    settings["stages"][2]["data"] = settings["stages"][0]["data"]
    with pytest.raises(SpecError, match=r"dpo: .*use objective=sft .*for them"):
        ts.rlhf(settings)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(SpecError, match="a list of stages"):
        ts.rlhf({"model": str(tiny_llama), "out": "x"})


def ppo_of(folder: Path, model: Path, **source: Any) -> dict[str, Any]:
    """sft, a reward model and ppo on both."""
    settings = file_of(folder, model)
    sampled = {"samples": 2, "max_new_tokens": 12, "timeout": 60, **source}
    last = {"objective": {"name": "ppo", "kl_weight": 0.1}, "source": sampled}
    settings["stages"][2] = last | {"data": settings["stages"][0]["data"]}
    return settings


@pytest.mark.slow  # 15 s
def test_ppo_asks_the_reward_model_of_the_stage_before(tiny_llama: Path, tmp_path: Path) -> None:
    settings = ppo_of(tmp_path, tiny_llama)
    stages = stages_of(settings)
    (reward,) = stages[2].run.source.rewards
    assert (reward.name, reward.run) == ("model", str(tmp_path / "runs/reward"))
    assert stages[2].parent == "sft", "a reward model writes nothing"
    own = stages_of(ppo_of(tmp_path, tiny_llama, rewards="json"))[2].run.source.rewards
    assert [one.name for one in own] == ["json"]

    folders = ts.rlhf(settings)
    told = [line for line in folders[2].steps() if "stopped" in line]
    assert len(told) == 2 and "reward/model" in told[0]
    assert abs(told[0]["reward"]) < 2, "calibrated on answers of the sft model"
    # The reference is what sft made, which is where ppo begins; the model of the file is another.
    assert told[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert told[0]["kl_sampled"] == pytest.approx(0, abs=1e-4)
    sft = load_run(folders[0])
    base = load_run(folders[2], tuned=False)
    ids = torch.arange(8)[None]
    with torch.no_grad():
        ours, theirs = (one.model(input_ids=ids).logits for one in (sft, base))
        bare = load_run(folders[0], tuned=False).model(input_ids=ids).logits
    assert torch.allclose(ours, theirs, atol=1e-5) and not torch.allclose(bare, theirs, atol=1e-3)
    assert ts.rlhf(settings) == folders, "what is finished is not trained again"


def test_the_last_stage_is_what_rlhf_type_says(tiny_llama: Path, tmp_path: Path) -> None:
    settings = ppo_of(tmp_path, tiny_llama)
    for overrides in (["rlhf_type=grpo"], {"rlhf_type": "grpo"}):
        last = stages_of(settings, overrides)[2]
        assert (last.name, last.run.objective.name) == ("grpo", "grpo")
        assert last.run.source.samples == 2 and last.run.source.rewards[0].name == "model"
    last = stages_of(settings | {"rlhf_type": "dpo"})[2]
    assert (last.name, last.run.source.name) == ("dpo", "rows")
    assert last.run.data.path == settings["stages"][1]["data"]["path"], "which has the pairs"
    pairs = {"name": "distill_to_base", "of": "dpo"}
    wrapped = [*settings["stages"][:2], settings["stages"][2] | {"objective": pairs}]
    kept = stages_of(settings | {"stages": wrapped, "rlhf_type": "kto"})[2]
    assert kept.run.data.path == settings["stages"][2]["data"]["path"], "no stage has judgements"
    same = stages_of(settings | {"stages": wrapped, "rlhf_type": "simpo"})[2]
    assert same.run.data.path == kept.run.data.path, "what it wraps has pairs already"
    assert stages_of(settings | {"rlhf_type": "dpo"}, ["rlhf_type=ppo"])[2].run.objective == (
        stages_of(settings)[2].run.objective
    )
    with pytest.raises(SpecError, match=r"^rlhf_type: unknown objective 'pop'"):
        stages_of(settings, ["rlhf_type=pop"])


def test_another_form_than_the_parents_is_pointed_out(tiny_llama: Path, tmp_path: Path) -> None:
    settings = file_of(tmp_path, tiny_llama, method="full")
    settings["stages"] = settings["stages"][:1]
    (run,) = ts.rlhf(settings)
    find_model(str(run.path))
    data = settings["stages"][0]["data"] | {"system": "You are brief."}
    plan = ts.plan({"model": str(run.path), "data": data, "out": str(tmp_path / "more")})
    assert any("trained with another data.system" in text for text in plan.warnings)
    assert (
        any("its weights are used as they are" in line for line in plan.lines())
        and plan.facts["parent"]["merged"] is False
    )


def test_a_file_of_stages_is_planned_stage_by_stage(tiny_llama: Path, tmp_path: Path) -> None:
    made = api.plan_stages(file_of(tmp_path, tiny_llama))
    assert made is not None
    assert [(name, plan.resolved.run.objective.name) for name, plan in made] == [
        ("sft", "sft"),
        ("reward", "reward"),
        ("dpo", "dpo"),
    ]
    assert not any(plan.problems for _, plan in made)
    assert [plan.facts["steps"] for _, plan in made] == [2, 1, 2]
    assert api.plan_stages({"model": "m", "data": "d", "out": "o"}) is None


def test_a_plan_with_a_problem_tells_it_and_no_table_of_settings(
    tiny_llama: Path, tmp_path: Path
) -> None:
    missing = {"model": str(tiny_llama), "data": str(tmp_path / "no.json"), "out": str(tmp_path)}
    made = api.plan(missing)
    assert made.problems and len(made.lines()) < 8
    assert "no.json" in "\n".join(made.lines())
