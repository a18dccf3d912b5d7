"""A proof as Markdown and as CSV holds the numbers of proof.json."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from material.folders import bare, full, proof, write
from tunesmith.errors import DataError, SpecError
from tunesmith.proving.retention import weigh
from tunesmith.report.written import written
from tunesmith.storage.run_folder import RunFolder


@pytest.fixture
def asked(tmp_path: Path) -> RunFolder:
    """A run that was asked a suite of two kinds, of which one was lost."""
    folder = full(tmp_path / "trec")
    lines = [
        {"suite": "a|b", "kind": f"kind {n % 2}", "sums": {"base": [1, 1], "tuned": [n % 2, 1]}}
        for n in range(80)
    ]
    write(folder.proof, proof() | {"retention": weigh(lines, {"a|b": (0.05, "share")}, seed=0)})
    return folder


def test_every_comparison_is_a_line_with_its_numbers(asked: RunFolder, tmp_path: Path) -> None:
    found = proof()
    lines = list(csv.DictReader(written(asked, tmp_path / "proof.csv").splitlines()))
    task = [line for line in lines if line["of"] == "task"]
    pairs = [(who, name) for who, told in found["differences"].items() for name in told]
    assert [(line["against"], line["metric"]) for line in task] == pairs
    for line, (who, name) in zip(task, pairs, strict=True):
        told = found["differences"][who][name]
        assert float(line["tuned"]) == found["contenders"]["tuned"][name]
        assert float(line["other"]) == found["contenders"][who][name]
        assert [float(line[end]) for end in ("difference", "low", "high")] == [
            told["difference"],
            told["low"],
            told["high"],
        ]
        assert (line["verdict"], line["interval"]) == (told["verdict"], "")
    kept = {line["of"]: line for line in lines if line["of"] != "task"}
    assert list(kept) == ["a|b", "a|b: kind 0", "a|b: kind 1"]
    assert [one["verdict"] for one in kept.values()] == ["lost", "lost", ""]
    assert (kept["a|b"]["tuned"], kept["a|b"]["other"]) == ("0.5", "1.0")
    assert kept["a|b"]["interval"] == "score"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_markdown_has_the_verdict_and_both_tables(
    asked: RunFolder, tmp_path: Path, lang: str
) -> None:
    text = written(asked, tmp_path / "proof.md", lang=lang)
    verdict = {"en": "**Improved.** On 240 held-out rows", "zh": "**更好。**"}[lang]
    assert verdict in text and "+67.7" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    heads = {line.count("|") - line.count("\\|") for line in rows}
    tuned = {"en": "| tuned | 86.1 % |", "zh": "| 微调后 | 86.1% |"}[lang]
    assert any(line.startswith(tuned) for line in rows), rows
    assert len(heads) == 2, "each of the two tables has as many cells in every row"
    assert "a\\|b" in text and {"en": "| lost |", "zh": "| 丢失 |"}[lang] in text


def test_another_form_and_a_run_without_a_proof_are_named(tmp_path: Path) -> None:
    folder = bare(tmp_path / "fresh")
    with pytest.raises(SpecError, match=r"proof\.docx: a proof is written as \.md, \.csv"):
        written(folder, Path("proof.docx"))
    with pytest.raises(DataError, match=r"nothing was proved yet\. tunesmith prove"):
        written(folder, Path("proof.md"))
