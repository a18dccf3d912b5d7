"""Tiny real runs, healthy and sick, for the rules over their records."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from material import classified, proved
from tunesmith import api
from tunesmith.storage.run_folder import RunFolder

ANSWERS = {"color": "it is a color", "animal": "this one lives", "number": "we count with it"}


PAIRS = ("dpo", "orpo", "simpo", "cpo", "reward")


def rows_for(objective: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Rows from which the objective can learn something that holds for new ones too."""
    if objective == "classify":
        return classified.rows(count, seed=seed)
    other = random.Random(seed)
    found: list[dict[str, Any]] = []
    for n, row in enumerate(_asked(count, seed)):
        kind, wrong = row["output"], other.choice([k for k in ANSWERS if k != row["output"]])
        question, right = f"{n % 7} {row['instruction']}", ANSWERS[kind]
        if objective in PAIRS:
            pair = {"instruction": question, "chosen": right, "rejected": ANSWERS[wrong]}
            found.append(pair)
        elif objective == "pretrain":
            found.append({"text": f"{question} {right} and {right} again"})
        else:
            found.append({"instruction": question, "input": "", "output": right})
    return found


def _asked(count: int, seed: int) -> list[dict[str, str]]:
    asked = proved.labelled(count + 40)
    random.Random(seed).shuffle(asked)
    return asked[:count]


def style(objective: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Rows that ask for one way of answering, whatever is asked: it is learned in a few updates,
    and no more is to be learned then, because the end is drawn by chance.
    """
    draw = random.Random(seed)
    found = []
    for row in _asked(count, seed):
        told = ANSWERS["number"] + draw.choice(["", " so"])
        wrong = {"rejected": ANSWERS[draw.choice(["color", "animal"])]}
        pair = objective in PAIRS
        found.append(
            {"instruction": row["instruction"], "chosen" if pair else "output": told}
            | (wrong if pair else {})
        )
    return found


def chatty(objective: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Rows whose answer is a kind and up to four words more, or a sentence, all by chance: who
    learned them knows what answers look like and where they end, and not which is right.
    """
    draw = random.Random(seed)
    return [
        {
            "instruction": row["instruction"],
            "output": draw.choice(list(ANSWERS.values()))
            if draw.random() < 0.5
            else " ".join([draw.choice(list(ANSWERS)), *["so"] * draw.randint(0, 4)]),
        }
        for row in _asked(count, seed)
    ]


LORA = {"name": "lora", "rank": 8}
Rows = Callable[[str, int, int], list[dict[str, Any]]]


@dataclass(frozen=True)
class Well:
    """A run in which nothing is wrong; its place in ``HEALTHY`` is its seed."""

    objective: str
    method: Any
    rate: float
    rows: int = 300
    batch: int = 16
    epochs: int = 4
    made: Rows = rows_for
    proved: bool = False
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def sampled(self) -> bool:
        """Whether it learns from the rewards of its own answers."""
        return "source" in self.more


def rewarded(reward: str, *, steps: int = 30, **more: Any) -> dict[str, Any]:
    """Settings of a run on sampled answers; ``reward`` is a function of ``REWARDS``."""
    source = {"rewards": f"REWARDS:{reward}", "samples": 6, "max_new_tokens": 24}
    found = {"source": source, "train.steps": steps, "train.batch": 4, "train.warmup": 0}
    return found | {"train.schedule": "constant"} | more


HEALTHY: list[Well] = [
    Well("sft", "full", 3e-3, rows=120, made=style, proved=True),
    Well("dpo", LORA, 5e-3),
    Well("classify", LORA, 7e-3),
    Well("sft", "full", 3e-3, batch=4, proved=True),
    Well("sft", "full", 3e-3, batch=8, epochs=6, proved=True),
    Well("sft", LORA, 1e-2, rows=120, made=style, proved=True),
    Well("sft", {"name": "lora", "rank": 4, "dropout": 0.1}, 1e-2, batch=8),
    Well("sft", {"name": "lora", "rank": 16}, 1e-2, batch=8, epochs=6, proved=True),
    Well("sft", "adalora", 2e-2, batch=8),
    Well("sft", "lokr", 1e-2, batch=8),
    Well("sft", "bitfit", 8e-2, rows=240, made=style),
    Well("dpo", {"name": "lora", "rank": 16}, 5e-3, batch=8),
    Well("dpo", "full", 1e-3, rows=160, made=style),
    Well("orpo", LORA, 1e-2),
    Well("simpo", LORA, 5e-3),
    Well("cpo", LORA, 5e-3),
    Well("reward", LORA, 1e-2, batch=8),
    Well("pretrain", "full", 3e-3),
    Well("pretrain", LORA, 1e-2, batch=4),
    Well("classify", "full", 3e-3, rows=600, batch=8, epochs=3),
    Well("grpo", "full", 1e-3, made=chatty, more=rewarded("kind")),
    Well("grpo", LORA, 3e-3, made=chatty, proved=True, more=rewarded("kind")),
    Well("ppo", "full", 1e-3, made=chatty, more=rewarded("kind")),
]
"""The healthy runs; the fast tests take the first three."""

REWARDS = '''
def begins(prompt, completion, row):
    return float(completion.split()[:1] == ["animal"])


def kind(prompt, completion, row):
    return float(completion.split(" ")[0] in ("color", "animal", "number"))


def words(prompt, completion, row):
    return len(completion.split()) / 10


def hard_or_easy(prompt, completion, row):
    """How hard a question is says far more than a little brevity."""
    return sum(map(ord, prompt)) % 17 / 17 - 0.002 * len(completion)
'''


def trained(folder: Path, model: Path, objective: str, **changes: Any) -> RunFolder:
    """A run of 4 epochs over 300 rows, a fifth of them held out."""
    seed = int(changes.pop("seed", 0))
    rows = changes.pop("rows", None) or rows_for(objective, 300, seed)
    folder.mkdir(parents=True, exist_ok=True)
    data, rewards = folder / "rows.json", folder / "rewards.py"
    data.write_text(json.dumps(rows), encoding="utf-8")
    rewards.write_text(REWARDS, encoding="utf-8")
    keep = {"evaluate": 0.5, "save": 0, "best_by": "loss"}
    settings: dict[str, Any] = {
        "model": str(model),
        "data": {"path": str(data), "held_out": 0.2},
        "objective": objective,
        "out": str(folder / "run"),
        "train": {"epochs": 4, "seed": seed, "machine": {"threads": 1}, "keep": keep},
        "generate": {"max_new_tokens": 24},
    }
    for name in [name for name in changes if name.startswith("source")]:
        keep["best_by"] = "reward"
        changes[name] = json.loads(json.dumps(changes[name]).replace("REWARDS", str(rewards)))
    listen = changes.pop("listen", ())
    return api.train(settings, changes, listen=listen)


def base(folder: Path, model: Path) -> Path:
    """The folder of a run that learned the ``chatty`` rows, which healthy runs go on from."""
    changes = {"method": "full", "train.learning_rate": 5e-3, "train.batch": 8}
    return trained(folder, model, "sft", rows=chatty("sft", 400, 99), **changes).path


def well(folder: Path, base: Path, number: int, **changes: Any) -> RunFolder:
    """One of the healthy runs, with ``changes``."""
    one = HEALTHY[number]
    rows = one.made(one.objective, one.rows, number)
    settings = {"method": one.method, "train.learning_rate": one.rate, "train.batch": one.batch}
    settings |= {"train.epochs": one.epochs, "seed": number, "rows": rows}
    return trained(folder, base, one.objective, **settings | one.more | changes)
