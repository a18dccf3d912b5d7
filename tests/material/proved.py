"""Tiny runs, trained once for all tests of proof, prediction and chat."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tunesmith import api
from tunesmith.events.stream import Event, Parts, Phase
from tunesmith.storage.run_folder import RunFolder

KINDS = {
    "color": ["red", "blue", "green"],
    "animal": ["cat", "dog", "cow"],
    "number": ["one", "two", "six"],
}


def labelled(count: int) -> list[dict[str, str]]:
    """Rows whose kind one of their words gives away."""
    draw = random.Random(0)
    rows = []
    for _ in range(count):
        kind = draw.choice(list(KINDS))
        words = [
            draw.choice(KINDS[kind]),
            *("".join(draw.choices("xyzuvw", k=3)) for _ in range(3)),
        ]
        draw.shuffle(words)
        rows.append({"instruction": " ".join(words), "input": "", "output": kind})
    return rows


def trained(folder: Path, model: Path, rows: list[dict[str, Any]], **settings: Any) -> RunFolder:
    """A short run over ``rows``."""
    data = folder / "rows.json"
    data.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    train = {"epochs": 4, "learning_rate": 5e-3, "keep": {"evaluate": 0, "save": 0}}
    asked = {
        "model": str(model),
        "data": {"path": str(data)},
        "out": str(folder / "run"),
        "train": train,
    }
    return api.train(asked | {"generate": {"max_new_tokens": 24}} | settings)


@pytest.fixture(scope="session")
def label_run(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """All weights trained on rows with three labels; a third is kept for the proof."""
    folder = tmp_path_factory.mktemp("labels")
    return trained(
        folder,
        tiny_llama,
        labelled(400),
        method="full",
        data={"path": str(folder / "rows.json"), "held_out": 0.3},
    )


@pytest.fixture(scope="session")
def adapter_run(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The same with an adapter."""
    folder = tmp_path_factory.mktemp("adapter")
    return trained(folder, tiny_llama, labelled(300), method={"name": "lora", "rank": 8})


@pytest.fixture(scope="session")
def text_run(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Chinese questions with a free answer each, in columns of the file's own names."""
    folder = tmp_path_factory.mktemp("text")
    draw = random.Random(1)
    rows = []
    for n in range(120):
        herbs = "".join(draw.sample("甘草黄芪当归白术茯苓川芎", 4))
        rows.append(
            {"问": f"第{n}号：{herbs}治什么？", "答": f"{herbs[:2]}补气，{herbs[2:]}活血。"}
        )
    data = {
        "path": str(folder / "rows.json"),
        "columns": {"question": "问", "answer": "答"},
        "held_out": 0.5,
    }
    train = {"steps": 4, "learning_rate": 1e-3, "keep": {"evaluate": 0, "save": 0}}
    return trained(folder, tiny_llama, rows, method="full", data=data, train=train)


class Counted:
    """The phases of a proof that begin once it was said how many follow; one may have the name of
    the one before.
    """

    def __init__(self) -> None:
        self.told, self._last = 0, ("", 0)
        self.begun: list[str] = []

    def hear(self, event: Event) -> None:
        if isinstance(event, Parts):
            self.told, self.begun, self._last = event.count, [], ("", 0)
        elif isinstance(event, Phase) and self.told:
            name, done = self._last
            if event.phase != name or event.done < done:
                self.begun.append(event.phase)
            self._last = event.phase, event.done
