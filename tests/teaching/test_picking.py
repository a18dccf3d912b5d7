"""Best-of-n: of several answers to a row the rewards keep the best, and sft learns from these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import tiny_model
from tunesmith import api
from tunesmith.errors import SpecError, TunesmithError

ASKED = [f"name {n}" for n in range(12)]
MINE = """
def letters(prompt, completion, row):
    if "7" in row["question"]:
        return None
    if "5" in row["question"]:
        raise ValueError("not five")
    return float(sum(map(str.isalpha, completion)) * row["sign"])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("picking")
    tiny_model(folder / "model")
    rows = [{"instruction": text, "sign": 1 - 2 * (n % 2)} for n, text in enumerate(ASKED)]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "mine.py").write_text(MINE, encoding="utf-8")
    return folder


def settings(folder: Path, out: str, samples: int = 4, **teacher: Any) -> dict[str, Any]:
    generate = {"samples": samples, "temperature": 1.0, "max_new_tokens": 4}
    plain = {"model": str(folder / "model"), "data": str(folder / "rows.json")}
    teacher = {"cut": "keep", **teacher}
    return {**plain, "out": str(folder / out), "generate": generate, "teacher": teacher}


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def worth(row: dict[str, Any]) -> float:
    return float(sum(map(str.isalpha, row["messages"][-1]["content"])) * row["sign"])


@pytest.mark.parametrize("best", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_the_best_answers_are_kept_and_learned_from(folder: Path, best: int) -> None:
    mine = f"{folder}/mine.py:letters"
    api.generate(settings(folder, f"all-{best}.jsonl"))
    account = api.generate(settings(folder, f"best-{best}.jsonl", rewards=mine, best=best))
    every, kept = read(folder / f"all-{best}.jsonl"), read(folder / f"best-{best}.jsonl")

    def of(rows: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
        return [row for row in rows if row["messages"][0]["content"] == text]

    rewarded = [text for text in ASKED if "7" not in text and "5" not in text]
    assert {row["messages"][0]["content"] for row in kept} == set(rewarded)
    for text in rewarded:
        answers = {row["messages"][-1]["content"]: worth(row) for row in of(every, text)}
        found = [worth(row) for row in of(kept, text)]
        assert sorted(found) == sorted(answers.values())[-best:], "the best, each text once"
        assert [row["reward"] for row in of(kept, text)] == found
    picked = account.picked
    assert picked is not None and picked.answers == len(every) and picked.kept == len(kept)
    assert picked.bare == 2 and picked.silent == len(of(every, ASKED[5])) + len(of(every, ASKED[7]))
    assert picked.mean == pytest.approx(
        sum(worth(row) for text in rewarded for row in of(every, text))
        / sum(len(of(every, text)) for text in rewarded)
    )
    run = {"model": str(folder / "model"), "data": str(folder / f"best-{best}.jsonl")}
    train = {"steps": 1, "batch": 2, "keep": {"evaluate": 0, "save": 0}}
    done = api.train({**run, "out": str(folder / f"run-{best}"), "train": train})
    ledger = done.read(done.ledger)
    assert ledger["rows"] == len(kept), "sft reads what was kept"


def test_nothing_good_enough_is_told_and_asked_no_more(folder: Path) -> None:
    mine = f"{folder}/mine.py:letters"
    asked = settings(folder, "least.jsonl", rewards=mine, least=1000)
    with pytest.raises(TunesmithError, match=r"no answer is worth enough .*lower teacher.least"):
        api.generate(asked)
    account = api.generate({**asked, "teacher": {**asked["teacher"], "least": 0.5}})
    assert account.earlier == 48, "all answers were there"
    rows = read(folder / "least.jsonl")
    assert rows and all(row["reward"] >= 0.5 for row in rows)


@pytest.mark.parametrize(
    ("samples", "teacher", "wanted"),
    [
        (4, {"least": 1.0}, "teacher.least: least has no effect without teacher.rewards"),
        (4, {"best": 2}, "teacher.best: best has no effect without teacher.rewards"),
        (4, {"weights": [1.0]}, "teacher.weights: weights has no effect"),
        (1, {"rewards": "exact"}, "teacher.rewards: rewards has no effect without generate.sam"),
        (
            2,
            {"rewards": "repetition", "best": 3},
            "so 3 of them cannot be kept",
        ),
        (2, {"rewards": "exact", "weights": [1, 2]}, "teacher.weights: 2 weights for 1 reward;"),
        (2, {"rewards": "exact"}, "teacher.rewards.0: reward exact reads the column 'answer'"),
        (2, {"rewards": "./gone.py:mine"}, "teacher.rewards.0: there is no file"),
    ],
)
def test_what_cannot_work_is_told_first(
    samples: int, teacher: dict[str, Any], wanted: str, folder: Path
) -> None:
    with pytest.raises(SpecError) as error:
        api.generate(settings(folder, "never.jsonl", samples, **teacher))
    assert wanted in str(error.value), error.value
    assert not (folder / "never.jsonl.partial").exists()
