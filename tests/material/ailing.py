"""Tiny real runs, healthy and sick, for the rules over their records."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from material import classified, proved
from tunesmith import api
from tunesmith.storage.run_folder import RunFolder

ANSWERS = {"color": "it is a color", "animal": "this one lives", "number": "we count with it"}


def rows_for(objective: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Rows from which the objective can learn something that holds for new ones too."""
    asked = proved.labelled(count + 40)
    random.Random(seed).shuffle(asked)
    asked = asked[:count]
    other = random.Random(seed)
    found: list[dict[str, Any]] = []
    for n, row in enumerate(asked):
        kind, wrong = row["output"], other.choice([k for k in ANSWERS if k != row["output"]])
        question, right = f"{n % 7} {row['instruction']}", ANSWERS[kind]
        if objective in ("dpo", "orpo", "simpo", "cpo", "reward"):
            pair = {"instruction": question, "chosen": right, "rejected": ANSWERS[wrong]}
            found.append(pair)
        elif objective == "kto":
            good = n % 2 == 0
            answer = right if good else ANSWERS[wrong]
            found.append({"instruction": question, "output": answer, "kto_tag": good})
        elif objective == "pretrain":
            found.append({"text": f"{question} {right} and {right} again"})
        else:
            found.append({"instruction": question, "input": "", "output": right})
    return found


LORA = {"name": "lora", "rank": 8}
HEALTHY: list[tuple[str, Any, float, int]] = [
    ("sft", LORA, 1e-2, 0),
    ("dpo", LORA, 5e-3, 1),
    ("classify", LORA, 2e-2, 2),
    ("sft", "full", 3e-3, 3),
    ("sft", "full", 3e-3, 4),
    ("sft", {"name": "lora", "rank": 4, "dropout": 0.1}, 1e-2, 5),
    ("sft", {"name": "lora", "rank": 8}, 2e-2, 6),
    ("sft", {"name": "lora", "rank": 2}, 2e-2, 7),
    ("sft", "adalora", 2e-2, 8),
    ("sft", "lokr", 1e-2, 9),
    ("dpo", {"name": "lora", "rank": 16}, 5e-3, 10),
    ("dpo", LORA, 5e-3, 11),
    ("orpo", LORA, 1e-2, 12),
    ("simpo", LORA, 5e-3, 13),
    ("cpo", LORA, 5e-3, 14),
    ("reward", LORA, 1e-2, 15),
    ("pretrain", "full", 3e-3, 16),
    ("pretrain", LORA, 1e-2, 17),
    ("classify", "full", 3e-3, 18),
    ("sft", {"name": "lora", "rank": 16}, 5e-3, 19),
]
"""Objective, method, learning rate and seed of the healthy runs; the fast tests take the first
three.
"""


def trained(folder: Path, model: Path, objective: str, **changes: Any) -> RunFolder:
    """A run of 4 epochs over 300 rows, a fifth of them held out."""
    seed = int(changes.pop("seed", 0))
    rows = changes.pop("rows", None)
    if rows is None:
        rows = (
            classified.rows(300, seed=seed)
            if objective == "classify"
            else rows_for(objective, 300, seed)
        )
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "rows.json"
    data.write_text(json.dumps(rows), encoding="utf-8")
    keep = {"evaluate": 0.5, "save": 0, "best_by": "loss"}
    settings: dict[str, Any] = {
        "model": str(model),
        "data": {"path": str(data), "held_out": 0.2},
        "objective": objective,
        "out": str(folder / "run"),
        "train": {"epochs": 4, "seed": seed, "machine": {"threads": 1}, "keep": keep},
        "generate": {"max_new_tokens": 24},
    }
    listen = changes.pop("listen", ())
    return api.train(settings, changes, listen=listen)
