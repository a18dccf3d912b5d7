"""Runs side by side: only settings that differ, proofs paired on shared rows by the statistics of a
proof, and one page without a network.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from material.folders import bare, full, items, proof, write, write_lines
from material.page import Page
from tunesmith import api, words
from tunesmith.errors import SpecError
from tunesmith.proving.judge import judge
from tunesmith.report.compared import compare_runs
from tunesmith.storage.run_folder import RunFolder


@pytest.fixture(autouse=True)
def english():
    words.use("en")


def proved(place: Path, lines: list[dict[str, Any]], **settings: Any) -> RunFolder:
    folder = full(place, **settings)
    write(folder.proof, proof() | {"seed": 5})
    write_lines(folder.items, lines)
    return folder


def answered(right: int, count: int) -> list[dict[str, Any]]:
    """Rows of which tuned has the first ``right`` right."""
    found = items(count)
    for n, line in enumerate(found):
        line["choices"]["tuned"] = line["reference"] if n < right else "nothing"
    return found


@pytest.fixture
def pair(tmp_path: Path) -> tuple[RunFolder, RunFolder]:
    rank = {"method": {"name": "lora", "rank": 32}}
    return proved(tmp_path / "new", answered(90, 96), **rank), proved(
        tmp_path / "old", answered(60, 96)[6:]
    )


def test_only_settings_that_differ_are_told(pair):
    found = api.compare(pair).to_json()
    assert found["settings"] == {"method.rank": ["32", "16"]}
    text = "\n".join(api.compare(pair).lines())
    assert "method.rank" in text and "train.learning_rate" not in text and "  out" not in text


def test_pairs_are_judged_as_in_a_proof_of_two_contenders(pair):
    new, old = map(str, (pair[0].path, pair[1].path))
    told = api.compare(pair).to_json()["proof"]
    rows = items(96)[6:]
    right = {new: [n < 90 for n in range(6, 96)], old: [n < 60 for n in range(6, 96)]}
    assert told["items"] == 90
    assert told["values"] == pytest.approx({name: np.mean(one) for name, one in right.items()})
    lines = [
        {
            "id": row["id"],
            "prompt": row["prompt"],
            "reference": row["reference"],
            "choices": {
                who: row["reference"] if right[name][n] else "nothing"
                for who, name in (("tuned", new), (old, old))
            },
        }
        for n, row in enumerate(rows)
    ]
    again = judge(lines, ["accuracy"], seed=5, decides=("", "accuracy"))
    assert told["differences"] == {old: again["differences"][old]["accuracy"]}
    assert told["differences"][old]["verdict"] == "improved"
    assert f"{new} is better than {old}: accuracy, difference +33.3" in "\n".join(
        api.compare(pair).lines()
    )


def test_runs_may_be_called_as_the_contenders_of_a_proof_are(pair):
    told = compare_runs(pair, names=["base", "tuned"]).to_json()["proof"]
    assert told["values"] == pytest.approx({"base": 84 / 90, "tuned": 54 / 90})
    assert told["differences"]["tuned"]["verdict"] == "improved"


def test_proofs_on_one_file_are_compared_where_the_runs_share_no_row(pair, tmp_path):
    for folder, right in zip(pair, (30, 20), strict=True):
        place = folder.path / "proofs" / "asked"
        place.mkdir(parents=True)
        write(place / "proof.json", proof() | {"seed": 5})
        write_lines(place / "items.jsonl", answered(right, 40))
    told = api.compare(pair, data="some/asked.json").to_json()["proof"]
    assert told["items"] == 40 and list(told["values"].values()) == [0.75, 0.5]
    files = [tmp_path / name / "asked.json" for name in "ab"]
    for file in files:
        file.parent.mkdir()
        file.write_text("[]", encoding="utf-8")
    for folder, file in zip(pair, files, strict=True):
        write(
            folder.path / "proofs" / "asked" / "proof.json",
            proof() | {"seed": 5, "file": str(file)},
        )
    told = api.compare(pair, data=str(files[0])).to_json()["proof"]
    assert told["left_out"] == {str(pair[1].path): "no proof"}, "it is that of b/asked.json"
    lines = api.compare(pair, data="absent.json").lines()
    assert lines[-1].endswith(f"tunesmith prove {pair[1].path} --data absent.json")


def test_a_row_whose_question_changed_is_not_shared(pair):
    lines = answered(60, 96)
    for line in lines[:50]:
        line["prompt"] += "?"
    write_lines(pair[1].items, lines)
    assert api.compare(pair).to_json()["proof"]["items"] == 46


def test_what_cannot_be_paired_is_said(tmp_path, pair):
    none = bare(tmp_path / "none", objective="pretrain")
    text = "\n".join(api.compare([*pair, none]).lines())
    assert "none has no proof and is not paired: tunesmith prove" in text
    assert "is better than" in text and "losses are not on one scale" in text
    write_lines(
        pair[1].items, [line | {"id": f"other.json:{n}"} for n, line in enumerate(items(30))]
    )
    assert "The proofs share no row" in "\n".join(api.compare(pair).lines())
    for line in (lines := answered(60, 96)):
        line["choices"] = {}
    write_lines(pair[1].items, lines)
    assert "was not proved by this metric" in "\n".join(api.compare(pair).lines())


def suite(tuned: float, difference: float, verdict: str) -> dict[str, Any]:
    ends = {"low": difference - 0.05, "high": difference + 0.05}
    told = {"unit": "share", "items": 200, "base": tuned - difference, "tuned": tuned}
    return told | ends | {"difference": difference, "verdict": verdict, "kinds": {}}


def test_what_each_kept_stands_beside_and_a_run_that_is_worse_in_all_is_none_to_choose(tmp_path):
    runs = []
    for name, right, kept in (("new", 90, 0.5), ("old", 60, 0.8), ("bad", 59, 0.4)):
        runs.append(proved(tmp_path / name, answered(right, 96)))
        suites = {"probe": suite(kept, kept - 0.8, "kept" if kept == 0.8 else "lost")}
        told = proof() | {"seed": 5, "retention": {"verdict": "lost", "suites": suites}}
        write(runs[-1].proof, told)
    found = api.compare(runs)
    text = "\n".join(found.lines())
    assert "50.0 %, -30.0 [-35.0, -25.0]: lost" in text and "80.0 %, 0.0 [-5.0, +5.0]: kept" in text
    unbeaten = [str(one.path) for one in runs[:2]]
    assert found.to_json()["unbeaten"] == unbeaten
    assert f"measured values: {', '.join(unbeaten)}." in text
    others = {"verdict": "kept", "suites": {"probe": suite(0.8, 0.0, "kept") | {"items": 100}}}
    write(runs[1].proof, proof() | {"seed": 5, "retention": others})
    assert api.compare(runs).to_json()["unbeaten"] == [], "other questions"
    write(runs[1].proof, proof() | {"seed": 5, "retention": None})
    found = api.compare(runs)
    assert found.to_json()["unbeaten"] == [] and "  –  " in "\n".join(found.lines())


def test_words_of_several_are_corrected_together(tmp_path):
    """Right on 14 rows where another is wrong, wrong on 4: alone it is proven, of four none."""
    runs = [proved(tmp_path / "new", answered(50, 100))]
    for n in range(4):
        lines = answered(50, 100)
        changed = (*range(n, 14 + n), *range(50 + 10 * n, 54 + 10 * n))
        for place in changed:
            was_right = lines[place]["choices"]["tuned"] == lines[place]["reference"]
            lines[place]["choices"]["tuned"] = "nothing" if was_right else lines[place]["reference"]
        runs.append(proved(tmp_path / f"old{n}", lines))
    alone = api.compare(runs[:2]).to_json()["proof"]["differences"]
    assert [one["verdict"] for one in alone.values()] == ["improved"]
    together = api.compare(runs)
    words_of_all = {one["verdict"] for one in together.to_json()["proof"]["differences"].values()}
    assert words_of_all == {"not shown"} and "corrected for 4 comparisons" in "\n".join(
        together.lines()
    )


@pytest.mark.parametrize("given", [("new",), ("new", "new")])
def test_fewer_than_two_runs_are_refused(pair, given):
    with pytest.raises(SpecError, match="two or more different run folders"):
        api.compare([pair[0].path.parent / name for name in given])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_has_all_curves_in_one_chart_and_needs_no_network(tmp_path, pair, language):
    words.use(language)
    more = [full(tmp_path / f"run{n}") for n in range(6)]
    path = tmp_path / "compare.html"
    api.compare([*pair, *more], page=path)
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    charts = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(charts) == 6 and all(chart.count("<polyline") == 8 for chart in charts)
    assert "method.rank 32 16" in page.text
    assert not [
        value for name, value in page.attributes if name in ("src", "href") and "#" not in value
    ]
    assert "run-1 dashed" in html and "StrictUndefined" not in html
