"""Metrics that grade: a function of the user's own, tests that run code, an encoder, a judge. What
goes wrong is named with its row and left out for all contenders; nothing kills a proof in silence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from material.headed import encoder
from material.voted import models
from tunesmith import api
from tunesmith.data.items import Item
from tunesmith.errors import DataError, SpecError
from tunesmith.examples import Chat, Turn
from tunesmith.metrics import METRICS
from tunesmith.plain import JsonObject
from tunesmith.proving.grading import grade, graders, grading_lines
from tunesmith.proving.interrupted import Kept
from tunesmith.proving.judge import TUNED, judge
from tunesmith.proving.record import Record
from tunesmith.report.build import build
from tunesmith.rewards.code import refused_apart
from tunesmith.settings.prove import Prove
from tunesmith.settings.run import validate
from tunesmith.storage.run_folder import RunFolder

OWN = """
def starts_alike(prediction, reference, row):
    if row.get("trap"):
        raise ValueError("this row is a trap")
    return float(prediction[:1] == reference[:1])

def never(prediction, reference, row):
    return 1 / 0
"""


def asked(answers: dict[str, list[str]], right: list[str], rows: list[JsonObject]) -> Any:
    """Records of contenders' answers, and their items."""
    records, items = [], []
    for n, (reference, row) in enumerate(zip(right, rows, strict=True)):
        said = {name: given[n] for name, given in answers.items()}
        records.append(Record(f"r:{n}", "Which?", reference, predictions=said))
        chat = Chat((Turn("user", "Which?"), Turn("assistant", reference)), columns=row)
        items.append(Item(f"r:{n}", (), chat))
    return records, items


def graded(metric: object, given: Any, kept: Path, primary: str = "nll") -> JsonObject:
    records, items = given
    known = {"prove.metrics.0": METRICS.make(METRICS.config(metric))}
    told = {"kept": Kept(kept), "progress": lambda done, total: None}
    return grade(known, records, items, primary, **told)


def test_a_function_that_fails_on_a_row_names_it_and_the_row_counts_for_nobody(tmp_path: Path):
    (tmp_path / "metric.py").write_text(OWN)
    rows: list[JsonObject] = [{"trap": n == 3} for n in range(30)]
    given = asked({"base": ["b"] * 30, TUNED: ["a"] * 30}, ["a"] * 30, rows)
    config = {"name": "function", "path": f"{tmp_path}/metric.py:starts_alike"}
    found = graded(config, given, tmp_path / "kept")["metric.py:starts_alike"]
    assert (found["items"], found["ungraded"]) == (30, 1)
    assert found["faults"][0] == (
        "r:3: metric.py:starts_alike raised ValueError('this row is a trap') on the answer of base"
    )
    lines = [record.line({}) for record in given[0]]
    name = "metric.py:starts_alike"
    judged = judge(lines, [name], seed=0, decides=("base", name), resamples=200)
    assert judged["contenders"] == {"base": {name: 0.0}, TUNED: {name: 1.0}}
    assert judged["differences"]["base"][name]["units"] == 29
    assert "gave no grade for 1 of 30 items" in grading_lines({name: found})[0]


def test_a_deciding_metric_that_grades_nothing_ends_the_proof_with_its_reasons(tmp_path: Path):
    (tmp_path / "metric.py").write_text(OWN)
    given = asked({"base": ["b"], TUNED: ["a"]}, ["a"], [{}])
    config = {"name": "function", "path": f"{tmp_path}/metric.py:never"}
    with pytest.raises(DataError, match=r"graded no item \(r:0: metric\.py:never raised ZeroDiv"):
        graded(config, given, tmp_path / "kept", primary="metric.py:never")
    assert graded(config, given, tmp_path / "kept")["metric.py:never"]["ungraded"] == 1


def test_what_cannot_grade_is_told_before_anything_is_loaded(tmp_path: Path):
    (tmp_path / "metric.py").write_text(OWN)
    metrics = [
        "code",
        f"{tmp_path}/metric.py:gone",
        {"name": "embedding_similarity", "path": str(tmp_path)},
        {"name": "judge", "url": "localhost", "model": "x"},
    ]
    run = {"model": "m", "data": "d", "out": str(tmp_path / "o"), "prove": {"metrics": metrics}}
    with pytest.raises(SpecError) as error:
        api.train(run)
    told = {problem.where: problem.text for problem in error.value.problems}
    assert "say run_code: true" in told["prove.metrics.0"]
    assert "has no function 'gone'; it has: starts_alike, never" in told["prove.metrics.1"]
    assert "holds no config.json" in told["prove.metrics.2.path"]
    assert "is not an address" in told["prove.metrics.3.url"]
    with pytest.raises(SpecError, match=r"prove\.metrics\.0\.url"):
        validate({**run, "prove": {"metrics": [{"name": "judge", "model": "x"}]}})
    with pytest.raises(SpecError, match=r"metrics\.0\.pattern.*'\(' is not a regular expression"):
        validate({**run, "prove": {"metrics": [{"name": "regex", "pattern": "("}]}})
    assert Prove(metrics=("rouge_l",)).named == ["rouge_l"]
    again = validate({**run, "prove": Prove(metrics=tuple(metrics[:2])).model_dump()})
    assert again.prove.named == ["code", "metric.py:gone"] and len(graders(again)) == 2


def test_a_form_is_matched_as_a_whole(tmp_path: Path):
    given = asked(
        {"base": ["on 2026-11-28", "x"], TUNED: [" 2026-11-28\n", "x"]}, ["", ""], [{}] * 2
    )
    found = graded({"name": "regex", "pattern": r"\d{4}-\d{2}-\d{2}"}, given, tmp_path / "kept")
    assert found["regex"]["ungraded"] == 0
    assert [record.grades["regex"] for record in given[0]] == [
        {"base": 0.0, TUNED: 1.0},
        {"base": 0.0, TUNED: 0.0},
    ]


@pytest.mark.slow
def test_an_expression_that_never_ends_is_stopped_within_the_seconds_that_it_may_take(
    tmp_path: Path,
):
    endless = {"name": "regex", "pattern": "(a+)+b", "seconds": 0.5}
    given = asked({"base": ["a" * 60], TUNED: ["ab"]}, [""], [{}])
    found = graded(endless, given, tmp_path / "kept")["regex"]
    assert found["ungraded"] == 1
    assert found["faults"][0].startswith("r:0: regex took more than 0.5 s")


def test_code_is_run_against_the_tests_of_its_row(tmp_path: Path):
    tests = ["assert add(1, 2) == 3", "assert add(0, 0) == 0"]
    good, half = "```python\ndef add(a, b):\n    return a + b\n```", "def add(a, b): return 0"
    given = asked({"base": ["no code here!", half], TUNED: [good, good]}, ["", ""], [{}] * 2)
    for item in given[1]:
        item.example.columns["tests"] = tests
    apart = refused_apart() is None
    how = {"name": "code", "run_code": True, "apart": apart}
    found = graded(how, given, tmp_path / "kept")
    assert [record.grades["code"] for record in given[0]] == [
        {"base": 0.0, TUNED: 1.0},
        {"base": 0.5, TUNED: 1.0},
    ]
    assert found["code"]["ungraded"] == 0 and found["code"]["apart"] == apart
    (line,) = grading_lines(found)
    assert ("without a network" in line) == apart


def test_similarity_is_the_cosine_of_mean_vectors(tmp_path: Path):
    from transformers import AutoModel, AutoTokenizer

    folder = encoder(tmp_path / "encoder")
    right, said = ["the red cat", "one two"], ["the red cat", "a blue cow is good"]
    given = asked({"base": ["", "one two"], TUNED: said}, right, [{}, {}])
    graded({"name": "embedding_similarity", "path": str(folder)}, given, tmp_path / "kept")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    with torch.inference_mode():  # one text at a time, without padding
        one, other = (
            model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
            for text in (right[1], said[1])
        )
    cosine = float(torch.cosine_similarity(one, other, dim=0))
    first, second = (record.grades["embedding_similarity"] for record in given[0])
    assert first["base"] == 0 and np.isclose(first[TUNED], 1)
    assert np.isclose(second["base"], 1) and np.isclose(second[TUNED], cosine, atol=1e-5)


def test_a_judge_is_asked_in_both_orders_once_and_its_cost_is_counted(tmp_path: Path):
    answers = {
        "base": ["so it is"] * 4,
        TUNED: ["longer by far", "s", "so it is", "longest of all"],
    }
    with models() as url:
        config = {"name": "judge", "url": url, "model": "judge", "prices": [1.0, 2.0]}
        given = asked(answers, ["x"] * 4, [{}] * 4)
        found = graded(config, given, tmp_path / "kept")["judge"]
        lefty = asked(answers, ["x"] * 4, [{}] * 4)
        sided = graded(config | {"model": "lefty"}, lefty, tmp_path / "kept")["judge"]
    # The longer one wins in both orders; the same answer is as good without being asked.
    assert [record.grades["judge"][TUNED] for record in given[0]] == [1, 0, 0.5, 1]
    assert {record.grades["judge"]["base"] for record in given[0]} == {0.5}
    assert (found["pairs"], found["agreed"], found["ties"], found["asked_now"]) == (3, 3, 0, 6)
    assert found["tokens"] == [6 * 7, 6 * 3] and np.isclose(found["cost"], (42 + 2 * 18) / 1e6)
    # One that always prefers what comes first has said nothing.
    assert [record.grades["judge"][TUNED] for record in lefty[0]] == [0.5] * 4
    assert (sided["agreed"], sided["ties"]) == (0, 3)
    # The endpoint is gone: what was paid for is not asked again.
    again = asked(answers, ["x"] * 4, [{}] * 4)
    kept = graded(config, again, tmp_path / "kept")["judge"]
    assert (kept["asked_now"], kept["replies"]) == (0, 6)
    assert (
        "both orders agree in 100 %, 0 % are ties; 0 requests now, 6 kept"
        in (grading_lines({"judge": kept})[0])
    )


def test_a_judge_that_is_down_is_no_grade_and_is_given_up(tmp_path: Path):
    with models() as url:
        gone = url
    given = asked({"base": ["a"] * 40, TUNED: ["b"] * 40}, ["x"] * 40, [{}] * 40)
    config = {"name": "judge", "url": gone, "model": "judge"}
    found = graded(config, given, tmp_path / "kept")["judge"]
    assert found["ungraded"] == 40 and "did not judge: [Errno" in found["faults"][0]


@pytest.mark.slow  # 3 s
def test_a_proof_tells_a_metric_of_the_users_own_beside_those_of_the_run(
    text_run: RunFolder, tmp_path: Path
):
    (tmp_path / "metric.py").write_text(
        "def short(prediction, reference, row):\n    assert row['问']\n"
        "    if row['问'].startswith('第1'):\n        raise KeyError('gone')\n"
        "    return -abs(len(prediction) - len(reference))\n"
    )
    proof = api.prove(text_run, items=30, metrics=[f"{tmp_path}/metric.py:short"])
    found: Any = proof.to_json()
    lines = [json.loads(line) for line in text_run.items.read_text("utf-8").splitlines()]
    trapped = [one for one in lines if one["prompt"].startswith("第1")]
    assert found["primary"] == "rouge_l" and trapped
    assert found["grading"]["metric.py:short"]["ungraded"] == len(trapped)
    lines = [one for one in lines if one not in trapped]
    gaps = [-abs(len(one["predictions"]["tuned"]) - len(one["reference"])) for one in lines]
    assert found["contenders"]["tuned"]["metric.py:short"] == pytest.approx(np.mean(gaps))
    assert "metric.py:short" in found["differences"]["base"]
    assert "needs the column 'gone'" in str(proof)
    page = build(text_run).read_text(encoding="utf-8")
    assert "gave no grade for" in page and "metric.py:short" in page
