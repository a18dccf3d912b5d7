"""Every objective, every kind of model and every method, ready to be walked over."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import tiny_model
from material.adapted import SMALL
from material.headed import encoder
from material.two_sided import tiny_pair
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.examples import Chat, Feedback, Labelled, Preference, Tagged, Text, TextPair
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.models.structure.kinds import HEADS
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run, validate
from tunesmith.words import say

ASKED = [
    "How far is it?",
    "How far is the sea?",
    "One or two?",
    "Is a cow blue?",
    "What is red?",
    "Is it good?",
    "And a dog?",
    "Why?",
]


ROWS: dict[type, Callable[[int, str], dict[str, Any]]] = {
    Chat: lambda n, text: {"instruction": text, "output": f"{n} km"},
    Text: lambda n, text: {"text": f"{text} {n} km"},
    Preference: lambda n, text: {"prompt": text, "chosen": f"{n} km", "rejected": "not at all"},
    Feedback: lambda n, text: {"prompt": text, "completion": f"{n} km", "label": n % 2 == 0},
    Labelled: lambda n, text: {"text": text, "label": "ab"[n % 2]},
    Tagged: lambda n, text: {"text": text, "entities": [[0, 3, "ab"[n % 2]]]},
    TextPair: lambda n, text: {"anchor": text, "positive": f"{n} miles"},
}


# Two units behind a relu may both be silent on eight rows.
NEEDS: dict[str, dict[str, Any]] = SMALL | {"bottleneck": {"size": 8, "activation": "gelu"}}


def kinds_of(objective: str) -> list[str]:
    """The kinds of model that can learn it."""
    of = OBJECTIVES.get(objective)
    return sorted(
        kind for kind in HEADS[of.head].kinds if kind != "encoder-decoder" or of.two_sided
    )


@dataclass
class House:
    """Tiny models of each kind, and what was read for an objective and a kind, once."""

    folder: Path
    models: dict[str, Path]
    read: dict[tuple[str, str], Prepared] = field(default_factory=dict)

    def run(self, objective: str, kind: str, method: str, out: Path) -> Run:
        of = OBJECTIVES.get(objective)
        data = self.folder / f"{of.eats.__name__}.json"
        data.write_text(
            json.dumps([ROWS[of.eats](n, text) for n, text in enumerate(ASKED)]), encoding="utf-8"
        )
        needs = {"teacher": str(self.models["teacher"])} if "teacher" in of.roles else {}
        needs |= {"rows": str(data), "examples": 2} if "fisher" in of.roles else {}
        # Random answers to one prompt differ in how Chinese they look, seldom in being right.
        sampled = {"rewards": {"name": "language", "language": "zh"}, "max_new_tokens": 12}
        return validate(
            {
                **({"source": {**sampled, "samples": 4}} if of.samples else {}),
                "model": str(self.models[kind]),
                "data": {"path": str(data), "held_out": 0},
                "out": str(out),
                "objective": {"name": objective, **needs},
                "method": {"name": method, **NEEDS.get(method, {})},
                "train": {
                    "steps": 2,
                    "batch": 4,
                    "learning_rate": 1e-2,
                    "micro_tokens": 64,
                    "machine": {"threads": 1},
                },
            }
        )

    def prepared(self, run: Run, kind: str) -> Prepared:
        key = (run.objective.name, kind)
        if key not in self.read:
            self.read[key] = prepare(run, load_tokenizer(self.models[kind]))
        return self.read[key]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("every")
    models = {
        "decoder": tiny_model(place / "llama"),
        "teacher": tiny_model(place / "teacher", intermediate_size=32),
    }
    models |= {"encoder": encoder(place / "bert"), "encoder-decoder": tiny_pair(place / "t5")}
    return House(place, models)


def told_why(method: str, objective: str, problems: list[Any]) -> None:
    """The refusal is at the method or the objective, and says which does not take which."""
    name = "several methods at once" if method == "combined" else method
    for problem in problems:
        assert problem.where.partition(".")[0] in ("method", "objective")
        assert problem.text.startswith(name) and len(problem.text) > len(name) + 20
        heads = [say(f"sides.{kind}") for kind in ("decoder", "encoder", "encoder-decoder")] + [
            "classification head",
            objective,
        ]
        assert any(one in problem.text for one in heads)
