"""The proof of a run that learned from rewards, on a tiny run that learned to write Chinese."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from material.proved import Counted
from tunesmith import api
from tunesmith.errors import SpecError
from tunesmith.proving.rewarded import _metrics
from tunesmith.rewards import REWARDS, Asked
from tunesmith.rollout.rewarding import Rewarding
from tunesmith.storage.run_folder import RunFolder

MINE = """
def reward(prompt, completion, row):
    if row["output"].startswith("1"):
        return None
    return len(completion) / 100
"""


@pytest.fixture(scope="module")
def run(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("rewarded")
    rows = [{"instruction": f"Say {n} of {n * 7 % 50}.", "output": f"{n} km"} for n in range(90)]
    (folder / "rows.json").write_text(json.dumps(rows))
    (folder / "mine.py").write_text(MINE)
    chinese = {"name": "language", "language": "zh"}
    return api.train(
        {
            "model": str(tiny_llama),
            "data": {"path": str(folder / "rows.json"), "held_out": 60},
            "out": str(folder / "run"),
            "objective": "grpo",
            "method": "full",
            "source": {
                "rewards": [chinese, f"{folder}/mine.py:reward"],
                "weights": [1, 0],
                "prove_by": "repetition",
                "max_new_tokens": 12,
            },
            "train": {
                "steps": 25,
                "batch": 4,
                "learning_rate": 3e-3,
                "schedule": "constant",
                "keep": {"evaluate": 0, "save": 0},
            },
        }
    )


def test_tuned_and_base_are_told_apart_by_the_same_rewards(run: RunFolder) -> None:
    counted = Counted()
    proof = api.prove(run, items=40, listen=[counted.hear])
    assert counted.told == len(counted.begun), counted.begun
    found = proof.to_json()
    items: list[dict[str, Any]] = [
        json.loads(line) for line in run.items.read_text(encoding="utf-8").splitlines()
    ]
    assert found["primary"] == "mean_reward" and found["verdict"] == "improved"
    means = {name: np.mean([item["worth"][name] for item in items]) for name in ("base", "tuned")}
    for name, mean in means.items():
        assert found["contenders"][name]["mean_reward"] == pytest.approx(mean)
        assert found["rewards"][name]["reward/language"] == pytest.approx(mean, abs=0.02)
        assert set(found["rewards"][name]) == {"reward", "reward/language", "reward/function"}
    difference = found["differences"]["base"]["mean_reward"]
    assert difference["difference"] == pytest.approx(means["tuned"] - means["base"])
    assert difference["low"] > 0
    again = {item["id"]: item["predictions"]["tuned"] for item in items}
    assert again.keys() == {item["id"] for item in items}
    unseen = [item["unseen"]["tuned"] - item["unseen"]["base"] for item in items]
    gained = found["differences"]["base"]["unseen_reward"]
    assert (
        gained["difference"] == pytest.approx(np.mean(unseen)) and gained["low"] <= gained["high"]
    )
    told = "\n".join(proof.lines())
    assert "reward decides: the same rewards that the run learned from" in told
    assert "improved" in told


def test_a_second_opinion_is_measured_beside_it(run: RunFolder) -> None:
    plain = run.resolved().run

    def contest(name: str) -> Any:
        prove = plain.prove.model_copy(update={"metrics": (name,)})
        return SimpleNamespace(run=plain.model_copy(update={"prove": prove}))

    unseen = "unseen_reward"  # from source.prove_by
    assert _metrics(contest("chrf")) == (["mean_reward", unseen, "chrf"], "mean_reward")
    with pytest.raises(SpecError, match="nll cannot be measured on answers that are only rewarded"):
        _metrics(contest("nll"))


def test_a_hard_prompt_is_refused(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Answer in Chinese.")
    with pytest.raises(SpecError, match="proves no hard prompt"):
        api.prove(run, prompt=str(tmp_path / "prompt.txt"))


def test_rows_of_which_a_reward_has_no_opinion_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    own = REWARDS.config({"name": "function", "path": f"{tmp_path}/mine.py:reward"})
    rewarding = Rewarding([own, own, REWARDS.config("json")], [1, 2, 0.5], 5.0)
    asked = [Asked(str(n), "", "1" * 50, {"output": f"{n} km"}) for n in (1, 2)]
    found = rewarding(asked)
    rewarding.close()
    assert rewarding.names == ["function", "function-2", "json"]
    assert found.sums_n == pytest.approx([0.5, 0.5 + 1.0 + 0.5]), "what abstains adds nothing"
    assert rewarding.means(found)["reward/function"] == pytest.approx(0.5)
