"""Rows of the tiny runs: pairs, judged answers, questions with a partner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from material import runs

REPLIES = ["Yes, gladly: it is here.", "No.", "I cannot say, but I will look.", "Go away!"]


def written(path: Path, count: int = 60) -> Path:
    """Pairs of which the polite answer is chosen, whatever its length."""
    found = []
    for n in range(count):
        chosen, rejected = (REPLIES[0], REPLIES[3]) if n % 2 else (REPLIES[2], REPLIES[1])
        found.append(
            {
                "prompt": f"Where is number {n}{'?' * (n % 3)}",
                "chosen": chosen,
                "rejected": rejected + " " * (n % 2) + "." * 40,
            }
        )
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return path


THINGS = ["cat", "dog", "cow", "film", "book", "hotel"]


COLORS = ["red", "blue", "green"]


def questions(path: Path, count: int = 90) -> Path:
    """A question's partner names the same number in other words."""
    found = []
    for n in range(count):
        found.append(
            {
                "question": f"who is {n * 7 % 1000} of the {THINGS[n % 6]}",
                "positive": f"{n * 7 % 1000} is {COLORS[n % 3]}",
            }
        )
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return path


def pairs() -> list[dict[str, Any]]:
    return [
        {"prompt": row["instruction"], "chosen": row["output"], "rejected": f"{n} miles, perhaps"}
        for n, row in enumerate(runs.rows())
    ]


def judged() -> list[dict[str, Any]]:
    return [
        {"prompt": row["prompt"], "completion": row["chosen"], "label": n % 2 == 0}
        for n, row in enumerate(pairs())
    ]
