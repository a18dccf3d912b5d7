"""Runs on sampled answers: they learn, go on with the same bits, and two processes train what one
does; what cannot work is told before anything is trained.
"""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from conftest import tiny_model  # type: ignore[attr-defined]
from material import runs
from material.fast import slow_but
from material.two_processes import in_two
from tunesmith.errors import SpecError
from tunesmith.events.stream import Events
from tunesmith.objectives import grpo
from tunesmith.planning.make import make
from tunesmith.report.build import build
from tunesmith.settings.run import Run, validate, with_overrides
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.loop import gradient
from tunesmith.training.preparing import Ready, make_ready
from tunesmith.training.start import train

ENGLISH = {"name": "language", "language": "en"}
SAMPLED: dict[str, Any] = {
    "objective": "grpo",
    "source": {"rewards": ENGLISH, "samples": 4, "max_new_tokens": 12},
    "train.batch": 4,
    "train.keep": {"evaluate": 0, "save": 2, "keep": 9},
    "train.warmup": 0,
}
TIMES = (
    "seconds",
    "tokens_per_second",
    "memory_gib",
    "held_gib",
    "joules",
    "seconds_sampling",
)


@pytest.fixture
def made(tiny_llama: Path, tmp_path: Path) -> Any:
    """Makes a run ready under a name."""

    def ready(name: str, **overrides: Any) -> Ready:
        one = runs.resolved(tmp_path / name, tiny_llama, **SAMPLED | overrides)
        return make_ready(one, runs.data_of(one), Events())

    return ready


def trained(out: Path, model: Path, **overrides: Any) -> RunFolder:
    one = runs.resolved(out, model, **SAMPLED | overrides)
    return train(one, runs.data_of(one))


def lines(folder: RunFolder) -> list[dict[str, Any]]:
    """The steps without their timings."""
    return [
        {name: value for name, value in line.items() if name not in TIMES}
        for line in folder.steps()
        if "stopped" in line
    ]


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "two passes": {
        "objective": {"name": "grpo", "kl": "loss", "aggregation": "answer"},
        "source.passes": 2,
    },
    "rloo": {"objective": {"name": "grpo", "kl": "reward", "advantage": "leave_one_out"}},
    "ppo": {
        "objective": {"name": "ppo", "kl_weight": 0.2, "kl_target": 1e-3, "kl_horizon": 50},
        "source.passes": 2,
    },
    "ppo, values move": {
        "objective": {"name": "ppo", "value": "joint", "kl_weight": 0, "overlong": "punished"}
    },
    "ppo, own values": {
        "objective": {"name": "ppo", "value": "own", "value_rate": 5.0, "kl_weight": 0.1},
        "source.passes": 2,
    },
    "gkd": {"objective": {"name": "gkd", "teacher": "TEACHER"}, "source.temperature": 0.7},
}
"""Of these the fast suite keeps the two that have most beside the loss; all took 39 s."""


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A vocabulary padded to another size, as in Qwen2.5's larger models.
    folder = tmp_path_factory.mktemp("teacher")
    return tiny_model(folder / "large", vocab_size=416, hidden_size=48)


def taught(settings: dict[str, Any], teacher: Path) -> dict[str, Any]:
    """The settings with this teacher in place of its name."""
    return json.loads(json.dumps(settings).replace("TEACHER", str(teacher)))


@pytest.mark.parametrize("name", slow_but(["ppo, own values"], SETTINGS))
def test_a_run_that_goes_on_samples_and_trains_the_same(
    name: str, tiny_llama: Path, teacher: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    settings = {**taught(SETTINGS[name], teacher), "train.steps": 4}
    straight = trained(out, tiny_llama, **settings)
    weights, told = runs.weights(straight.model), lines(straight)
    assert len(told) == 4 and told[0]["reward"] != told[1]["reward"]
    assert all(line["sampler_gap"] < 1e-5 for line in told)
    shutil.rmtree(out / "checkpoints" / "step-00000004")
    shutil.rmtree(straight.model)
    one = runs.resolved(out, tiny_llama, **SAMPLED | settings)
    train(one, runs.data_of(one), resume=True)
    assert runs.weights(straight.model) == weights
    assert lines(straight) == told


@pytest.mark.parametrize("teaches", [True, False])
def test_the_process_of_the_rewards_ends_with_the_run(
    teaches: bool, tiny_llama: Path, tmp_path: Path
) -> None:
    before = {one.pid for one in psutil.Process().children()}
    rewards = ENGLISH if teaches else {"name": "format", "pattern": "never"}
    with nullcontext() if teaches else pytest.raises(SpecError):
        settings = {"source.rewards": rewards, "train.steps": 1}
        trained(tmp_path / "run", tiny_llama, **settings)
    assert {one.pid for one in psutil.Process().children()} <= before


@pytest.mark.parametrize("name", slow_but(["ppo, own values"], SETTINGS))
def test_cut_and_layout_change_nothing(name: str, teacher: Path, made: Any) -> None:
    settings = taught(SETTINGS[name], teacher)

    def found(name: str, micro_tokens: int, layout: str) -> tuple[float, torch.Tensor]:
        ready = made(name, **settings, **{"train.micro_tokens": micro_tokens, "train.clip": 0})
        work = ready.work
        work.model.layout = layout
        examples = work.source.step(0, work.models).passes[0]
        cuts = work.batches(examples)
        assert len(cuts) > 1 or micro_tokens > 100
        metrics, _ = gradient(work, cuts, 1)
        grads = [weight.grad.flatten() for _, weight in work.named if weight.grad is not None]
        return metrics["loss"].value, torch.cat(grads)

    loss, whole = found("whole", 4096, "forest")
    assert whole.norm() > 0
    for name, micro_tokens, layout in (("cut", 64, "forest"), ("padded", 4096, "padded")):
        other, grads = found(name, micro_tokens, layout)
        assert other == pytest.approx(loss, abs=1e-5)
        assert float((grads - whole).norm() / whole.norm()) < 1e-4


def test_dropout_is_off_in_training_too(made: Any) -> None:
    ready = made("dropout", method={"name": "lora", "rank": 4, "dropout": 0.5})
    work = ready.work
    torch.nn.init.normal_(next(p for n, p in work.named if "lora_B" in n), std=0.5)
    cuts = work.batches(work.source.step(0, work.models).passes[0])
    metrics, _ = gradient(work, cuts, 1)
    assert metrics["sampler_gap"].value < 1e-5


def test_it_is_told_when_what_is_trained_was_not_what_was_sampled(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the training scores at another temperature than the sampler draws at."""
    inner = grpo.see_at
    monkeypatch.setattr(grpo, "see_at", lambda model, batch, _: inner(model, batch, 3.0))
    out = tmp_path / "run"
    settings = {"method": {"name": "lora", "rank": 4}, "source.temperature": 0.2}
    folder = trained(out, tiny_llama, **settings, **{"train.steps": 3})
    found = [line for line in folder.steps() if line.get("event") == "sampler_apart"]
    assert len(found) == 1 and found[0]["step"] == 1, "once"
    assert found[0]["gap"] > found[0]["most"] == 1e-3


@pytest.mark.parametrize(
    "objective",
    [
        pytest.param(
            {"name": "grpo", "advantage": "batch_std", "aggregation": "constant", "kl": "loss"},
            marks=pytest.mark.slow,
        ),
        pytest.param({"name": "ppo", "kl_target": 1e-3}, marks=pytest.mark.slow),
        {"name": "ppo", "value": "own"},
        pytest.param({"name": "gkd", "teacher": "TEACHER"}, marks=pytest.mark.slow),
    ],
    ids=["grpo", "ppo", "ppo, own values", "gkd"],
)
def test_two_processes_train_what_one_trains(
    objective: Any, tiny_llama: Path, teacher: Path, tmp_path: Path
) -> None:
    settings = {"train.optimizer": "sgd", "train.steps": 3, "train.batch": 5}
    settings |= {**taught({"objective": objective}, teacher), "source.passes": 2}
    one = trained(tmp_path / "one", tiny_llama, **settings)
    assert in_two(lambda _: trained(tmp_path / "two", tiny_llama, **settings)) == [0, 0]
    for alone, joined in zip(lines(one), lines(RunFolder(tmp_path / "two")), strict=True):
        assert alone.keys() == joined.keys()
        assert {name: joined[name] for name in alone} == pytest.approx(alone, rel=1e-3, abs=1e-6)


@pytest.mark.slow  # 3 s
def test_a_student_comes_nearer_to_its_teacher_where_it_goes_itself(
    tiny_llama: Path, teacher: Path, tmp_path: Path
) -> None:
    """Though all its answers are worth the same, which would teach ppo nothing."""
    settings = {
        "objective": {"name": "gkd", "teacher": str(teacher)},
        "source": {**SAMPLED["source"], "rewards": {"name": "format", "pattern": "never"}},
        "method": "full",
        "train.steps": 20,
        "train.learning_rate": 3e-3,
        "train.keep": {"evaluate": 0, "save": 0},
    }
    told = lines(trained(tmp_path / "run", tiny_llama, **settings))
    assert all(line["reward"] == 0 and line["divergence"] == line["loss"] for line in told)
    assert told[-1]["divergence"] < 0.8 * told[0]["divergence"]


@pytest.mark.slow  # 6 s
def test_the_loss_over_sampled_answers_is_trls(made: Any, teacher: Path) -> None:
    """With the logits of plain forwards over each answer, at the temperature that is sampled at."""
    from transformers import AutoModelForCausalLM
    from trl.experimental.gkd.gkd_trainer import GKDTrainer

    objective = {"name": "gkd", "teacher": str(teacher), "divergence": "jsd", "beta": 0.3}
    work = made("trl", objective=objective, method="full", **{"source.temperature": 0.7}).work
    examples = work.source.step(0, work.models).passes[0]
    ours, _ = gradient(work, work.batches(examples), 1)
    large = AutoModelForCausalLM.from_pretrained(teacher)
    total, count = 0.0, 0
    with torch.no_grad():
        for tokens in (one for example in examples for one in example):
            ids = torch.tensor(tokens.ids_T[None].astype("int64"))
            student, other = (
                model(input_ids=ids).logits[:, :-1] for model in (work.model.model, large)
            )
            scored = torch.tensor(tokens.weights_T[None, 1:] > 0)
            labels = torch.where(scored, ids[:, 1:], -100)
            size = student.shape[-1]
            how = {"labels": labels, "beta": 0.3, "temperature": 0.7, "reduction": "sum"}
            total += float(GKDTrainer.generalized_jsd_loss(student, other[..., :size], **how))
            count += int(scored.sum())
    assert ours["loss"].count == count
    assert ours["loss"].value == pytest.approx(total / count, rel=1e-5)


PPO = {"name": "ppo", "kl_weight": 0}


@pytest.mark.parametrize(
    ("objective", "language", "sign"),
    [
        ("grpo", "zh", 1),
        pytest.param("grpo", "en", -1, marks=pytest.mark.slow),
        pytest.param(PPO, "zh", 1, marks=pytest.mark.slow),
        pytest.param(PPO, "en", -1, marks=pytest.mark.slow),
    ],
    ids=["grpo up", "grpo down", "ppo up", "ppo down"],
)
def test_it_learns_what_is_rewarded(
    objective: Any, language: str, sign: int, tiny_llama: Path, tmp_path: Path
) -> None:
    settings = {
        "objective": objective,
        "method": "full",
        "source.rewards": {"name": "language", "language": language},
        "source.weights": [sign],
        "source.samples": 8,
        "train.learning_rate": 3e-3,
        "train.schedule": "constant",
        "train.steps": 40,
        "train.keep": {"evaluate": 0, "save": 0},
    }
    told = lines(trained(tmp_path / "run", tiny_llama, **settings))
    first = sum(line["reward"] for line in told[:5]) / 5
    last = sum(line["reward"] for line in told[-5:]) / 5
    assert last - first > 0.3, "up, and down where it is a penalty"


@pytest.mark.slow  # 3 s
def test_watched_prompts_are_answered_at_each_evaluation(tiny_llama: Path, tmp_path: Path) -> None:
    settings = {"train.steps": 2, "train.keep": {"evaluate": 1, "save": 0}, "data.held_out": 24}
    settings["source"] = {**SAMPLED["source"], "prove_by": {"name": "length", "target": 8}}
    one = runs.resolved(tmp_path / "run", tiny_llama, **SAMPLED | settings)
    prepared = runs.data_of(one)
    prepared.watch = prepared.proof
    folder = train(one, prepared)
    found = [line["evaluation"] for line in folder.steps() if "evaluation" in line]
    assert len(found) == 3
    assert set(found[0]) == {"reward", "unseen_reward", "length", "stopped"}
    assert folder.resolved().run.train.keep.best_by == "reward"
    assert (folder.path / "best").is_dir()
    seen = [line for line in folder.steps() if line.get("event") == "watched_answers"]
    assert [line["step"] for line in seen] == [0, 1, 2]
    ids = [[answer["id"] for answer in line["answers"]] for line in seen]
    assert ids[0] == ids[1] == ids[2] == [item.id for item in prepared.watch[:8]]
    assert set(seen[0]["answers"][0]["rewards"]) == {"reward", "unseen"}
    page = build(folder, lang="en").read_text(encoding="utf-8")
    assert "The same prompts over time" in page and page.count("answers in between: 1") == 8
    assert "step 2, reward " in page and "Reward that nothing is trained on" in page


def asked(tiny_llama: Path, out: Path, **overrides: Any) -> Run:
    plain = runs.asked(out, tiny_llama).model_dump(mode="json", exclude_unset=True)
    return validate(with_overrides(plain, SAMPLED | overrides))


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        ({"source.rewards": []}, "source.rewards: name at least one reward"),
        ({"source.weights": [1, 2]}, "source.weights: 2 weights for 1 reward;"),
        ({"source.samples": 1}, "source.samples: answers to one prompt are compared"),
        ({"source.max_new_tokens": 500}, "36 prompts with an answer of up to 500 tokens"),
        ({"generate.top_p": 0.9, "generate.temperature": 1}, "generate.top_p: answers are sampled"),
        ({"generate.repetition_penalty": 1.2}, "generate.repetition_penalty: "),
        ({"data.train_on": "last"}, "data.train_on: has no effect"),
        ({"source": {"name": "rows"}}, "source: grpo learns from answers that the model samples"),
        ({"objective": "sft"}, "source: sft learns from the rows themselves"),
        (
            {"source.rewards": [ENGLISH, {"name": "exact", "column": "gold"}]},
            "'gold', which 36 of 36 rows do not have (the columns of rows.json:1: question, instruction, output, an",
        ),
        ({"source.rewards": "./gone.py:reward"}, "source.rewards.0: there is no file"),
        (
            {"train.keep.best_by": "rouge_l"},
            "train.keep.best_by: the objective grpo does not measure 'rouge_l'",
        ),
    ],
)
def test_what_cannot_work_is_told_by_the_plan(
    overrides: dict[str, Any], wanted: str, tiny_llama: Path, tmp_path: Path
) -> None:
    if overrides == {"objective": "sft"}:
        overrides["source"] = {"name": "rollout", **SAMPLED["source"]}
    told = "\n".join(map(str, make(asked(tiny_llama, tmp_path / "run", **overrides)).problems))
    assert wanted in told, told


def test_a_plan_without_problems_counts_prompts_and_answers(
    tiny_llama: Path, tmp_path: Path
) -> None:
    plan = make(asked(tiny_llama, tmp_path / "run"))
    assert not plan.problems
    assert plan.resolved.run.source.name == "rollout", "the objective's own, without a name"
    longest = max(len(one) for item in plan.prepared.train for one in item.tokens)  # type: ignore[union-attr]
    assert plan.facts["longest"] == longest + 12


@pytest.mark.slow  # 3 s
def test_a_file_of_ones_own_is_a_reward(tiny_llama: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def reward(prompt, completion, row):\n"
        "    if row['output'] == '37 km':\n"
        "        raise ValueError('not this one')\n"
        "    return float('a' in completion) + float(prompt.startswith('How far'))\n"
    )
    rewards = [f"{tmp_path}/mine.py:reward", ENGLISH]
    folder = trained(tmp_path / "run", tiny_llama, **{"source.rewards": rewards, "train.steps": 9})
    told = lines(folder)
    assert 1 <= told[0]["reward/function"] <= 2 and 0 < told[0]["reward/language"] < 1
    assert sum(line["abstained"] for line in told) == 4
    faults = [line["told"] for line in folder.steps() if line.get("event") == "fault"]
    assert len(faults) == 4, "three in words, and how many more"
    assert "rows.json:2: reward function raised ValueError('not this one')" in faults[0]
    assert "1 more" in faults[-1]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ({"max_new_tokens": 1, "seed": 0}, "none of 64 answers ended within 1 tokens"),
        ({"rewards": {"name": "format", "pattern": "never"}}, "do the rewards differ (0 to 0)"),
    ],
)
def test_a_run_that_could_learn_nothing_is_refused_with_its_answers(
    source: dict[str, Any], wanted: str, tiny_llama: Path, tmp_path: Path
) -> None:
    own = {f"source.{name}": value for name, value in source.items() if name != "seed"}
    with pytest.raises(SpecError) as error:
        trained(tmp_path / "run", tiny_llama, **own)
    told = str(error.value)
    assert wanted in told and "rows.json:" in told and "How far is" in told
    assert not (tmp_path / "run").exists(), "nothing was written"


@pytest.mark.slow  # 5 s
def test_the_value_head_learns_what_is_to_be_expected(tiny_llama: Path, tmp_path: Path) -> None:
    """Here near 1, whatever the answer."""
    text = "def polite(prompt, *_):\n    return 1 + 0.01 * ('Please' in prompt)\n"
    (tmp_path / "mine.py").write_text(text)
    settings = {
        "objective": {"name": "ppo", "kl_weight": 0, "value_clip": None},
        "source": {**SAMPLED["source"], "samples": 1, "rewards": f"{tmp_path}/mine.py:polite"},
        "train.batch": 16,
        "train.learning_rate": 3e-2,
        "train.schedule": "constant",
        "train.steps": 25,
        "train.keep": {"evaluate": 0, "save": 25},
    }
    folder = trained(tmp_path / "run", tiny_llama, **settings)
    told = lines(folder)
    assert told[0]["value"] == 0 and "teaching" not in told[0], "one answer is compared with none"
    assert abs(told[0]["explained_variance"]) < 1e-6
    assert told[-1]["value"] == pytest.approx(1, abs=0.1)
    assert told[-1]["value_loss"] < told[0]["value_loss"] / 10
    saved = load_file(folder.checkpoints / "step-00000025" / "weights.safetensors")
    assert saved["value/linear.weight"].any(), "the head is a part of the checkpoint"
    moments = load_file(folder.checkpoints / "step-00000025" / "optimizer.safetensors")
    assert "exp_avg:value/linear.weight" in moments


def test_answers_alone_are_refused_where_all_are_worth_the_same(made: Any) -> None:
    rewards = {"name": "format", "pattern": "never"}
    ready = made("alike", objective="ppo", **{"source.samples": 1, "source.rewards": rewards})
    with pytest.raises(SpecError, match="all 16 answers to 16 prompts are worth the same"):
        ready.work.source.preview(ready.work.models)
    told = made("apart", objective="ppo", **{"source.samples": 1}).work
    assert len(told.source.preview(told.models)) == 1 + 2 * 4


def test_what_is_seen_before_the_first_step(made: Any) -> None:
    ready = made("seen")
    told = ready.work.source.preview(ready.work.models)
    assert told[0] == "answers before training, with their rewards:"
    assert sum("How far is" in line for line in told) == 4
    again = ready.work.source.step(0, ready.work.models).numbers
    assert again["teaching"] > 0
    shown = json.dumps(told)
    assert "[cut at the limit]" in shown
