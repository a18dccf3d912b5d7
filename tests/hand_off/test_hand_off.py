"""A run on rewards for another toolkit: its options by name, its rows, and rewards that give there
what they give here.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as parquet
import pytest

from tunesmith import api
from tunesmith.cli.main import main
from tunesmith.errors import SpecError


@pytest.fixture(scope="module")
def settings(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("hand")
    rows = [
        {"question": f"{n} + {n}?", "answer": f"it is {2 * n}", "sort": "sum"} for n in range(60)
    ]
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {
        "model": str(tiny_llama),
        "data": {"path": str(data), "held_out": 20},
        "out": str(folder / "run"),
        "objective": {"name": "grpo", "high": 0.28, "kl": "loss", "kl_weight": 0.01},
        "source": {
            "rewards": ["number", "repetition"],
            "weights": [1, 0.5],
            "samples": 4,
            "max_new_tokens": 16,
        },
        "method": {"name": "lora", "rank": 4, "alpha": 8},
        "train": {"steps": 12, "batch": 10, "learning_rate": 1e-4},
    }


def options(out: Path) -> dict[str, str]:
    """The options of run.sh, whose syntax the shell has checked."""
    subprocess.run(["sh", "-n", str(out / "run.sh")], check=True)
    text = (out / "run.sh").read_text(encoding="utf-8").replace("\\\n", " ")
    words = text.splitlines()[-1].split()[:-1]
    found = dict(word.split("=", 1) for word in words if "=" in word)
    for place, word in enumerate(words):
        if word.startswith("--"):
            rest = []
            for one in words[place + 1 :]:
                if one.startswith("--"):
                    break
                rest.append(one)
            found[word] = " ".join(rest)
    return found


@pytest.fixture
def conversations(settings: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    given = {key: value for key, value in settings.items() if key not in ("objective", "source")}
    machine = {"checkpointing": True}
    train = {"batch": 10, "steps": 12, "warmup": 0.1, "schedule": "cosine", "machine": machine}
    return given | {"train": train, "out": str(tmp_path / "run")}


def test_megatron_swift_gets_the_rows_that_train(
    conversations: dict[str, Any], tmp_path: Path
) -> None:
    done = api.hand_over(conversations, "megatron-swift", tmp_path / "out")
    told = options(tmp_path / "out")
    wanted = {
        "--dataset": "rows/train.jsonl",
        "--tuner_type": "lora",
        "--lora_rank": "4",
        "--lora_alpha": "8",
        "--global_batch_size": "10",
        "--lr_warmup_fraction": "0.1",
        "--lr_decay_style": "cosine",
        "--recompute_granularity": "full",
    }
    assert wanted.items() <= told.items()
    assert not (tmp_path / "out" / "reward.py").exists()
    text = (tmp_path / "out" / "rows" / "train.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    assert len(rows) == done.rows == 40
    for row in rows:
        (asked, answered) = row["messages"]
        number = int(asked["content"].split(" + ")[0])
        assert answered == {"role": "assistant", "content": f"it is {2 * number}"}
    assert len(set(map(json.dumps, rows))) == 40, "the 20 held-out rows stay here"


def test_torchtitan_gets_a_configuration(conversations: dict[str, Any], tmp_path: Path) -> None:
    whole = conversations | {"method": "full"}
    done = api.hand_over(whole, "torchtitan", tmp_path / "out")
    told = options(tmp_path / "out")
    assert told["--module"] == "tunesmith_config" and told["--config"] == "run"
    text = (tmp_path / "out" / "tunesmith_config.py").read_text(encoding="utf-8")
    compile(text, "tunesmith_config.py", "exec")
    assert repr(str(conversations["model"])) in text and 'decay_type="cosine"' in text.replace(
        "'", '"'
    )
    assert any("warmup_steps=round(0.1 * STEPS)" in line for line in text.splitlines())
    # Titan's is 0.1 and cannot be set there; all else of this run has a counterpart.
    assert done.missing == ["train.weight_decay=0.0"]


def test_a_run_goes_to_a_target_of_its_kind(
    settings: dict[str, Any], conversations: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=r"objective: .*megatron-swift, torchtitan"):
        api.hand_over(conversations, "verl", tmp_path / "out")
    with pytest.raises(SpecError, match=r"objective: .*verl, openrlhf, ms-swift"):
        api.hand_over(settings, "torchtitan", tmp_path / "out")
    with pytest.raises(SpecError, match="method=full"):
        api.hand_over(conversations, "torchtitan", tmp_path / "out")
    pairs = conversations | {"objective": "dpo"}
    with pytest.raises(SpecError, match=r"objective: only runs that .*dpo"):
        api.hand_over(pairs, "megatron-swift", tmp_path / "out")


def reward_of(out: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("handed_reward", out / "reward.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_verl(settings: dict[str, Any], tmp_path: Path):
    done = api.hand_over(settings, "verl", tmp_path)
    told = options(tmp_path)
    wanted = {
        "algorithm.adv_estimator": "grpo",
        "algorithm.norm_adv_by_std_in_grpo": "True",
        "data.train_batch_size": "10",
        "actor_rollout_ref.actor.clip_ratio_low": "0.2",
        "actor_rollout_ref.actor.clip_ratio_high": "0.28",
        "actor_rollout_ref.actor.loss_agg_mode": "token-mean",
        "actor_rollout_ref.actor.use_kl_loss": "True",
        "actor_rollout_ref.actor.kl_loss_coef": "0.01",
        "actor_rollout_ref.actor.kl_loss_type": "low_var_kl",
        "actor_rollout_ref.rollout.n": "4",
        "actor_rollout_ref.model.lora_rank": "4",
        "trainer.total_epochs": "3",  # 12 steps of 10 prompts, of 40
        "reward.custom_reward_function.name": "compute_score",
    }
    assert {name: told.get(name) for name in wanted} == wanted
    assert Path(told["actor_rollout_ref.model.path"]).is_dir() and done.missing == []
    rows = parquet.read_table(tmp_path / "rows" / "train.parquet").to_pylist()
    assert len(rows) == done.rows == 40
    assert set(rows[0]) == {"data_source", "prompt", "ability", "reward_model", "extra_info"}
    module, row = reward_of(tmp_path), rows[0]
    right = row["reward_model"]["ground_truth"]
    assert module.compute_score("tunesmith", right, right, row["extra_info"]) == 1.0
    wrong = module.compute_score("tunesmith", "it is 7", right, row["extra_info"])
    assert wrong == pytest.approx(0.0)
    again = module.compute_score("tunesmith", "no no no no no no", right, row["extra_info"])
    assert again < -0.2, "the second reward, with its weight"
    assert "k3 there" in (tmp_path / "differences.txt").read_text(encoding="utf-8")


def test_openrlhf(settings: dict[str, Any], tmp_path: Path):
    torch = pytest.importorskip("torch")
    objective = {"name": "grpo", "aggregation": "answer", "advantage": "leave_one_out"}
    done = api.hand_over({**settings, "objective": objective}, "openrlhf", tmp_path)
    told = options(tmp_path)
    wanted = {
        "--algo.advantage.estimator": "rloo",
        "--actor.eps_clip_low_high": "0.2 0.2",
        "--rollout.n_samples_per_prompt": "4",
        "--rollout.batch_size": "10",
        "--train.batch_size": "40",
        "--algo.kl.init_coef": "0",
        "--data.apply_chat_template": "",
        "--reward.remote_url": "reward.py",
    }
    assert {name: told.get(name) for name in wanted} == wanted
    assert done.missing == ["objective.aggregation=answer"]
    assert "no counterpart in openrlhf: objective.aggregation=answer" in "\n".join(done.lines())
    rows = [
        json.loads(line) for line in (tmp_path / "rows" / "train.jsonl").read_text().splitlines()
    ]
    right = json.loads(rows[0]["label"])["row"]["answer"]
    end = reward_of(tmp_path).ENDS[0]
    prompts = ["<user>q", "<user>q"]
    queries = [f"<user>q{right}{end}", "<user>q7 is wrong"]
    found = reward_of(tmp_path).reward_func(queries, prompts, [rows[0]["label"]] * 2)
    assert torch.allclose(found["rewards"], torch.tensor([1.0, 0.0]))


def test_ms_swift(settings: dict[str, Any], tmp_path: Path):
    objective = {
        "name": "grpo",
        "ratio": "sequence",
        "clip": "two_sided",
        "aggregation": "constant",
    }
    objective |= {"advantage": "batch_std", "kl": "reward"}
    done = api.hand_over({**settings, "objective": objective}, "ms-swift", tmp_path)
    told = options(tmp_path)
    wanted = {
        "--loss_type": "dr_grpo",
        "--importance_sampling_level": "sequence",
        "--delta": "4.0",
        "--scale_rewards": "batch",
        "--kl_in_reward": "true",
        "--beta": "0.05",
        "--reward_funcs": "tunesmith",
        "--external_plugins": "reward.py",
    }
    assert {name: told.get(name) for name in wanted} == wanted and done.missing == []
    row = json.loads((tmp_path / "rows" / "train.jsonl").read_text().splitlines()[0])
    plugin = reward_of(tmp_path).Tunesmith()
    right = json.loads(row["tunesmith"])["row"]["answer"]
    assert plugin([right, "7"], tunesmith=[row["tunesmith"]] * 2) == [1.0, 0.0]


def test_what_a_target_lacks_is_listed_and_what_it_cannot_do_is_refused(
    settings: dict[str, Any], tmp_path: Path
):
    objective = {"name": "grpo", "clip": "sapo", "advantage": "batch_std", "overlong": "masked"}
    done = api.hand_over({**settings, "objective": objective}, "verl", tmp_path / "a")
    wanted = ["objective.advantage=batch_std", "objective.clip=sapo", "objective.overlong=masked"]
    assert done.missing == wanted
    with pytest.raises(SpecError, match="PPO takes a reward model"):
        api.hand_over({**settings, "objective": "ppo"}, "ms-swift", tmp_path / "b")
    told = options_of_ppo(settings, tmp_path / "c")
    assert told["algorithm.adv_estimator"] == "gae" and told["algorithm.lam"] == "0.95"
    with pytest.raises(SpecError) as error:
        api.hand_over({**settings, "objective": "sft", "source": "rows"}, "trl", tmp_path / "a")
    assert [one.where for one in error.value.problems] == ["to", "objective", "out"]
    assert not (tmp_path / "b").exists()


def options_of_ppo(settings: dict[str, Any], out: Path) -> dict[str, str]:
    api.hand_over({**settings, "objective": "ppo"}, "verl", out)
    return options(out)


def test_the_command_line_says_what_it_needs(capsys: pytest.CaptureFixture[str]):
    assert main(["hand-off", "to=verl"]) == 2
    assert "out: needed: tunesmith hand-off" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_learned_from_rewards_goes_on_elsewhere(
    settings: dict[str, Any], tmp_path: Path
):
    letters = {"name": "language", "language": "en"}
    source = {"rewards": letters, "samples": 4, "max_new_tokens": 90}
    train = {"steps": 1, "batch": 4, "machine": {"threads": 1}}
    given = {**settings, "source": source, "train": train, "out": str(tmp_path / "run")}
    run = api.train(given)
    done = api.hand_over(str(run.path), "openrlhf", tmp_path / "out")
    assert options(tmp_path / "out")["--actor.model_name_or_path"] == "model" and done.rows == 40
    assert (tmp_path / "out" / "model" / "model.safetensors").is_file()


@pytest.mark.slow
def test_the_model_of_a_trained_run_goes_along(settings: dict[str, Any], tmp_path: Path):
    first = {
        **settings,
        "objective": "sft",
        "source": "rows",
        "out": str(tmp_path / "sft"),
        "train": {"steps": 1, "batch": 4, "machine": {"threads": 1}},
    }
    run = api.train(first)
    second = {**settings, "model": str(run.path), "out": str(tmp_path / "grpo")}
    api.hand_over(second, "verl", tmp_path / "out")
    assert options(tmp_path / "out")["actor_rollout_ref.model.path"] == "model"
    assert (tmp_path / "out" / "model" / "model.safetensors").is_file()
