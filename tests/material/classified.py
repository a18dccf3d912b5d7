"""Rows in classes, and a run that learns them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tunesmith import api
from tunesmith.storage.run_folder import RunFolder

KINDS = {
    "color": ["red", "blue", "green"],
    "animal": ["cat", "dog", "cow"],
    "number": ["one", "two", "six"],
}


def rows(count: int, problem: str = "single", seed: int = 0) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    found: list[dict[str, Any]] = []
    for _ in range(count):
        names = draw.sample(list(KINDS), draw.choice([0, 1, 2]) if problem == "multi" else 1)
        words = [draw.choice(KINDS[name]) for name in names] + [
            "".join(draw.choices("xyzuvw", k=3)) for _ in range(3)
        ]
        draw.shuffle(words)
        label: Any = {
            "single": names[0] if names else "",
            "multi": names,
            "regression": len(words[0]) + 0.5,
        }[problem]
        found.append(
            {
                "id": len(found),
                "text": " ".join(words),
                "labels" if problem == "multi" else "label": label,
            }
        )
    return found


def trained(folder: Path, model: Path, problem: str = "single", **changes: Any) -> RunFolder:
    (folder / "rows.json").write_text(json.dumps(rows(300, problem)), encoding="utf-8")
    keep = {
        "evaluate": 0.5,
        "save": 0,
        "best_by": "mean_absolute_error" if problem == "regression" else "macro_f1",
    }
    settings: dict[str, Any] = {
        "model": str(model),
        "data": {"path": str(folder / "rows.json"), "held_out": 0.4},
        "objective": "classify",
        "out": str(folder / "run"),
        "method": {"name": "lora", "rank": 4},
        "train": {"epochs": 3, "learning_rate": 2e-2, "keep": keep},
    }
    return api.train(settings | changes)
