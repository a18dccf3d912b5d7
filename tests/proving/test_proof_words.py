"""What a proof says beside its numbers: who the opponent was, and nothing that so few rows cannot
say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from material.folders import bare
from tunesmith import words
from tunesmith.proving.proof import Proof
from tunesmith.proving.write import conclude
from tunesmith.report.language import Say
from tunesmith.report.verdict import standing, verdict
from tunesmith.storage.run_folder import RunFolder

HARD = ("8 times in 10", "as large as the measured one", "tell it from chance")


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    words.use("en")
    yield
    words.use("en")


def told(place: Path, right: dict[str, list[bool]], *, against: str) -> Proof:
    """The proof of contenders that told each pair right or wrong."""
    folder = bare(place / "run")
    rows = range(len(right["tuned"]))
    pairs = [{name: [float(given[row]), 0.5] for name, given in right.items()} for row in rows]
    records: list[dict[str, Any]] = [
        {"id": f"rows.json:{row}", "reference": "", "pairs": pairs[row]} for row in rows
    ]
    run = folder.resolved().run
    return conclude(
        folder,
        run,
        records,
        ["pair_accuracy"],
        "pair_accuracy",
        against=against,
        primary_reason="scored",
    )


@pytest.mark.parametrize(("rows", "lost"), [(2, 2), (8, 4), (8, 8), (19, 1)])
def test_too_few_rows_say_nothing_but_that(tmp_path: Path, rows: int, lost: int) -> None:
    right = {"length": [True] * rows, "tuned": [row >= lost for row in range(rows)]}
    proof = told(tmp_path, right, against="length")
    text = "\n".join(proof.lines())
    assert f"{rows} rows are too few for a verdict, which takes at least 20" in text and not any(
        part in text for part in HARD
    )
    detail = verdict(proof.to_json(), Say("en")).detail
    assert "too few for a verdict" in detail and "8 times in 10" not in detail


def test_enough_rows_say_what_they_could_show_and_more_rows_are_needed(tmp_path: Path) -> None:
    right = {"length": [True] * 20 + [False] * 20, "tuned": [True] * 18 + [False] * 18 + [True] * 4}
    proof = told(tmp_path, right, against="length")
    text = "\n".join(proof.lines())
    assert proof.verdict == "not shown" and all(part in text for part in HARD)
    assert proof.to_json()["items_needed"] > 40
    told_page = verdict(proof.to_json(), Say("en")).detail
    assert all(
        re.search(r"a difference of about [\d.]+ points or more", one) for one in (text, told_page)
    ), "a share has its unit"
    same = told(tmp_path / "same", {"length": [True] * 30, "tuned": [True] * 30}, against="length")
    assert "as large as the measured one" not in "\n".join(same.lines())


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("rival", ["base", "tfidf", "length"])
def test_the_opponent_is_named(tmp_path: Path, rival: str, language: str) -> None:
    right = {rival: [True] * 25 + [False] * 5, "tuned": [False] * 10 + [True] * 17 + [False] * 3}
    proof = told(tmp_path, right, against=rival)
    words.use(language)
    text, name = "\n".join(proof.lines()), words.say(f"report.rival_{rival}")
    line = {
        "en": f"Only the tuned model is right on 2 rows, only {name} on 10 (McNemar",
        "zh": f"只有微调后的模型答对：2 行；只有对照（{name}）答对：10 行（McNemar",
    }
    assert line[language] in text and "微调前" not in text
    stands = words.say("prove.rival_stands", rival=words.say(f"prove.{rival}"))
    assert (
        (stands in text)
        == (rival != "base")
        == (standing(proof.to_json(), Say(language)) == [stands])
    ), "told if cheaper"


def test_what_is_undefined_is_null(tmp_path: Path) -> None:
    """Judged answers of one kind have no area under the curve; JSON knows no nan."""
    folder: RunFolder = bare(tmp_path / "run")
    rewards = [
        {"base": 0.0, "tuned": float("nan")},
        *({"base": 0.0, "tuned": 0.1 * row} for row in range(1, 25)),
    ]
    records: list[dict[str, Any]] = [
        {"id": f"rows.json:{row}", "reference": "desirable", "rewards": one}
        for row, one in enumerate(rewards)
    ]
    proof = conclude(
        folder,
        folder.resolved().run,
        records,
        ["reward_auc"],
        "reward_auc",
        primary_reason="judged",
    )
    assert proof.to_json()["contenders"]["tuned"]["reward_auc"] is None
    assert proof.to_json()["differences"]["base"]["reward_auc"]["difference"] is None
    assert (
        "nan" not in (folder.items.read_text() + folder.proof.read_text()).lower() and proof.lines()
    )
    assert json.loads(folder.items.read_text().splitlines()[0])["rewards"]["tuned"] is None


@pytest.mark.parametrize(
    ("language", "many", "few"),
    [
        ("en", "40 rows come from 20 groups of patient", "come from only 10 groups"),
        ("zh", "40 行数据来自 patient 的 20 个组", "只来自 10 个组"),
    ],
)
def test_rows_of_groups_are_said_and_few_groups_give_no_verdict(
    tmp_path: Path, language: str, many: str, few: str
) -> None:
    words.use(language)
    for groups, wanted in ((20, many), (10, few)):
        folder = bare(tmp_path / str(groups), data={"path": "rows.json", "split_by": "patient"})
        records: list[dict[str, Any]] = [
            {
                "id": f"rows.json:{row}",
                "reference": "",
                "pairs": {"tuned": [1.0, 0.5], "length": [row % 3 / 2, 0.5]},
                "group": str(row % groups),
            }
            for row in range(40)
        ]
        names = ["pair_accuracy"]
        how = {"against": "length", "primary_reason": "scored"}
        proof = conclude(folder, folder.resolved().run, records, names, names[0], **how)
        assert proof.to_json()["units"] == groups and wanted in "\n".join(proof.lines())
        assert (proof.verdict == "improved") == (groups == 20)
