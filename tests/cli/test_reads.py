"""Each verb reads the settings of a run once."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from material.runs import rows
from tunesmith.cli.main import main

listening: list[Counter[str]] = []
"""Where reads are counted while a verb runs; an audit hook cannot be taken away again."""


def heard(event: str, given: tuple[Any, ...]) -> None:
    if listening and event == "open" and given[1] == "r" and str(given[0]).endswith(".yaml"):
        listening[-1][str(Path(str(given[0])).absolute())] += 1


sys.addaudithook(heard)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    listening.append(Counter())
    try:
        yield listening[-1]
    finally:
        listening.pop()


@pytest.fixture(scope="module")
def place(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with settings, rows, and the run that they make; its reads are in reads.json."""
    folder = tmp_path_factory.mktemp("reads")
    (folder / "rows.json").write_text(json.dumps(rows(36)), encoding="utf-8")
    settings = {
        "model": str(tiny_llama),
        "data": {"path": str(folder / "rows.json"), "held_out": 16},
        "out": str(folder / "run"),
        "train": {"steps": 2, "batch": 4, "machine": {"threads": 1}, "keep": {"evaluate": 0}},
        "generate": {"max_new_tokens": 2},
        "prove": {"items": 4, "shots": 0},
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    with counted() as reads:
        assert main(["train", str(folder / "settings.yaml")]) == 0
    (folder / "reads.json").write_text(json.dumps(reads), encoding="utf-8")
    return folder


def test_a_training_reads_its_settings_once_and_never_its_own_folder(place: Path) -> None:
    reads = json.loads((place / "reads.json").read_text(encoding="utf-8"))
    assert reads == {str(place / "settings.yaml"): 1}


def test_a_plan_reads_its_settings_once(place: Path) -> None:
    with counted() as reads:
        assert main(["plan", str(place / "settings.yaml"), f"out={place / 'other'}"]) == 0
    assert reads == {str(place / "settings.yaml"): 1}


@pytest.mark.parametrize(
    "verb",
    [
        ["prove", "run"],
        ["predict", "run", "rows.json", "--out", "answers.jsonl"],
        pytest.param(["export", "run", "merged"], marks=pytest.mark.slow),
        ["train", "run", "--resume"],
    ],
    ids=lambda verb: verb[0],
)
def test_a_verb_reads_the_settings_of_its_run_once(
    verb: list[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    with counted() as reads:
        assert main(verb) == 0
    assert reads == {str(place / "run" / "run.yaml"): 1}


def test_a_run_that_goes_on_from_another_reads_that_once(place: Path) -> None:
    changes = [f"model={place / 'run'}", f"out={place / 'next'}"]
    with counted() as reads:
        assert main(["train", str(place / "settings.yaml"), *changes]) == 0
    assert reads == {str(place / "settings.yaml"): 1, str(place / "run" / "run.yaml"): 1}
