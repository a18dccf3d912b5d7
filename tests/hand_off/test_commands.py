"""The command of a hand-off: options that the toolkit has, files that are there, and values that
training here would use.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from material.handed_options import KNOWN
from tunesmith import api

REWARDED = ("verl", "openrlhf", "ms-swift")
OBJECTIVES: dict[str, Any] = {
    "plain": "grpo",
    "bounded": {"name": "grpo", "clip": "two_sided", "kl": "loss", "overlong": "punished"},
    "loo": {"name": "grpo", "advantage": "leave_one_out", "kl": "reward", "overlong": "masked"},
    "ppo": {"name": "ppo", "kl_target": 6.0, "value": "own", "cap": 3.0},
}


@pytest.fixture(scope="module")
def settings(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("hand")
    rows = [{"question": f"{n} + {n}?", "answer": f"it is {2 * n}"} for n in range(60)]
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {
        "model": str(tiny_llama),
        "data": {"path": str(data), "held_out": 20, "system": "Only the number."},
        "out": str(folder / "run"),
        "objective": "grpo",
        "source": {"rewards": "number", "samples": 4, "max_new_tokens": 16},
        "method": {"name": "lora", "rank": 4},
        "train": {"steps": 15, "batch": 9, "schedule": "constant", "warmup": 3, "clip": 0.5},
    }


def options(out: Path) -> dict[str, str]:
    """The options of run.sh by name, a flag's empty."""
    text = (out / "run.sh").read_text(encoding="utf-8").replace("\\\n", " ")
    words = shlex.split(text.splitlines()[-1])[:-1]
    found = dict(word.split("=", 1) for word in words if re.match(r"[a-z_.]+=", word))
    name = ""
    for word in words:
        if word.startswith("--"):
            name = word
            found[name] = ""
        elif name:
            found[name] = f"{found[name]} {word}".strip()
    return found


@pytest.mark.parametrize(
    ("objective", "to"),
    # ms-swift has no PPO by functions.
    [pair for pair in itertools.product(OBJECTIVES, REWARDED) if pair != ("ppo", "ms-swift")],
)
def test_every_option_is_the_toolkits_own_and_every_file_is_there(
    objective: str, to: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    given = {**settings, "objective": OBJECTIVES[objective]}
    api.hand_over(given, to, tmp_path)
    told = options(tmp_path)
    assert len(told) > 20 and told.keys() <= KNOWN[to], told.keys() - KNOWN[to]
    assert "None" not in told.values(), "a value that training would choose is chosen here too"
    named = [value for value in told.values() if re.search(r"\.(py|jsonl|parquet)$", value)]
    assert len(named) >= 2 and all((tmp_path / name).is_file() for name in named)


@pytest.mark.parametrize("to", REWARDED)
def test_the_model_is_asked_what_it_is_asked_here(
    to: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    """The system prompt of the settings is a turn of every row, and no reward sees it."""
    api.hand_over(settings, to, tmp_path)
    if to == "verl":
        rows = parquet.read_table(tmp_path / "rows" / "train.parquet").to_pylist()
        asked, looked_at = rows[0]["prompt"], rows[0]["extra_info"]["tunesmith"]
    else:
        text = (tmp_path / "rows" / "train.jsonl").read_text(encoding="utf-8")
        row = json.loads(text.splitlines()[0])
        asked = row["input"] if to == "openrlhf" else row["messages"]
        looked_at = row["label"] if to == "openrlhf" else row["tunesmith"]
    assert [turn["role"] for turn in asked] == ["system", "user"]
    assert asked[0]["content"] == "Only the number."
    assert json.loads(looked_at)["turns"] == asked[1:]


def test_verl_can_begin_and_saves_its_model(settings: dict[str, Any], tmp_path: Path) -> None:
    api.hand_over(settings, "verl", tmp_path)
    told, actor = options(tmp_path), "actor_rollout_ref.actor"
    wanted = {
        f"{actor}.use_dynamic_bsz": "True",
        f"{actor}.optim.lr_scheduler_type": "constant",
        f"{actor}.optim.lr_warmup_steps_ratio": "0.2",  # 3 of 15 steps
        f"{actor}.optim.weight_decay": "0.0",
        f"{actor}.optim.clip_grad": "0.5",
        "actor_rollout_ref.model.lora_alpha": "8",
        "data.val_files": "rows/train.parquet",
        "trainer.val_before_train": "False",
        "trainer.save_freq": "4",
        "trainer.total_training_steps": "15",
        # 40 rows fill four batches of nine: four passes are 16 steps.
        "trainer.total_epochs": "4",
    }
    assert {name: told.get(name) for name in wanted} == wanted


def test_openrlhf_finds_its_card_and_the_rate_stays_where_it_was(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    done = api.hand_over(settings, "openrlhf", tmp_path)
    told = options(tmp_path)
    cards = int(told["--actor.num_nodes"]) * int(told["--actor.num_gpus_per_node"])
    assert cards == int(told["--vllm.num_engines"]) * int(told["--vllm.tensor_parallel_size"])
    assert told["--ref.num_gpus_per_node"] == told["--actor.num_gpus_per_node"]
    low, high = map(float, told["--reward.clip_range"].split())
    assert low < -1e6 and high > 1e6, "no reward is cut"
    assert told["--actor.lr_scheduler"] == "constant_with_warmup"
    assert told["--actor.lr_warmup_ratio"] == "0.2" and told["--actor.max_norm"] == "0.5"
    assert told["--actor.adam.betas"] == "0.9 0.999"
    assert "train.steps=15" in done.missing, "it counts passes: four are 17 steps and a part"


def test_ms_swift_makes_as_many_updates(settings: dict[str, Any], tmp_path: Path) -> None:
    given = {**settings, "source": {**settings["source"], "passes": 2}}
    done = api.hand_over(given, "ms-swift", tmp_path)
    told = options(tmp_path)
    assert told["--max_steps"] == "30" and told["--warmup_steps"] == "6"
    assert told["--lr_scheduler_type"] == "constant_with_warmup" and done.missing == []


@pytest.mark.parametrize(
    ("to", "name"),
    [
        ("verl", "actor_rollout_ref.actor.clip_ratio_c"),
        ("openrlhf", "--actor.dual_clip"),
        ("ms-swift", "--delta"),
    ],
)
def test_the_largest_ratio_is_that_of_the_training(
    to: str, name: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    bounded = {"name": "grpo", "clip": "two_sided"}
    api.hand_over({**settings, "objective": bounded}, to, tmp_path / "bounded")
    assert float(options(tmp_path / "bounded")[name]) == 4.0
    api.hand_over(settings, to, tmp_path / "plain")
    assert float(options(tmp_path / "plain").get(name, "inf")) > 1000


@pytest.mark.parametrize("to", REWARDED)
def test_what_no_toolkit_has_is_listed(to: str, settings: dict[str, Any], tmp_path: Path) -> None:
    given = {
        **settings,
        "method": {"name": "lora", "rank": 4, "variant": "rslora"},
        "data": {**settings["data"], "system": None, "template": "Q: {question}\nA: {answer}"},
        "train": {**settings["train"], "optimizer": "sgd", "schedule": "cosine_with_restarts"},
    }
    missing = api.hand_over(given, to, tmp_path).missing
    wanted = {"method.variant=rslora", "train.optimizer=sgd", "train.schedule=cosine_with_restarts"}
    assert wanted <= set(missing) and any(one.startswith("data.template=") for one in missing)


def test_what_the_rewards_read_of_this_disk_is_told(
    settings: dict[str, Any], tiny_llama: Path, tmp_path: Path
) -> None:
    own = tmp_path / "mine.py"
    own.write_text("def reward(prompt, completion, row):\n    return 1.0\n", encoding="utf-8")
    likely = {"name": "likelihood", "run": str(tiny_llama)}
    source = {**settings["source"], "rewards": [f"{own}:reward", likely, "number"]}
    done = api.hand_over({**settings, "source": source}, "openrlhf", tmp_path / "out")
    told = (tmp_path / "out" / "differences.txt").read_text(encoding="utf-8")
    assert f"The rewards read {own}, {tiny_llama}, which must be there" in told
    plain = api.hand_over(settings, "openrlhf", tmp_path / "plain")
    assert len(plain.notes) == len(done.notes) - 1
