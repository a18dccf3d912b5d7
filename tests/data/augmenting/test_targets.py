"""Rows of the kinds that a proof found weak: those alone are reworded, as many as wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.api import change_rows
from tunesmith.errors import DataError, SpecError

TEMPLATE = ["how=templates", "templates=['Say: {text}']", "column=said"]
SHIPS = {"target": "ship, sea", "why": "wrong answers", "words": ["ship", "sea"], "rows": 3}
LABEL = {
    "by": "label",
    "value": "high",
    "low": None,
    "high": None,
    "target": "label = high",
    "rows": 20,
}


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run that reads these rows under other names, and where its proof lies."""
    data = {"path": "gone.jsonl", "columns": {"text": "said", "label": "kind"}}
    settings = {"model": "starter", "data": data, "out": "run", "objective": "classify"}
    (tmp_path / "run" / "proofs" / "asked").mkdir(parents=True)
    (tmp_path / "run" / "run.yaml").write_text(json.dumps(settings), "utf-8")
    return tmp_path / "run" / "proofs" / "asked" / "collect.jsonl"


def said(path: Path) -> list[str]:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [row["said"] for row in rows if "augmented" in row["tunesmith_from"]]


def test_rows_of_the_kinds_are_made_and_no_others(tmp_path: Path, run: Path) -> None:
    texts = [f"the {('ship', 'lamp')[n % 2]} number {n} is here" for n in range(12)]
    labels = ["high" if n in (1, 3) else "low" for n in range(12)]
    rows = [{"said": one, "kind": label} for one, label in zip(texts, labels, strict=True)]
    source, out = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    target = write(run, [SHIPS, LABEL])
    account = change_rows("augment", source, out, [*TEMPLATE, f"target={target}"])
    assert said(out) == [f"Say: {texts[n]}" for n in (0, 1, 3, 4, 8)], "three of six ships, evenly"
    assert (account.read, account.added, account.written) == (12, 5, 17)
    lines = account.lines()
    assert any("ship, sea: 3 more rows are wanted; 3 rows" in line for line in lines)
    assert any("label = high: 20 more rows are wanted; 2 rows" in line for line in lines)


def test_a_single_kind_is_no_list_of_its_rows_to_imitate(tmp_path: Path, run: Path) -> None:
    rows = [{"said": f"the ship number {n} is here", "kind": "low"} for n in range(6)]
    source, out = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    target = write(run, [SHIPS | {"like": [{"id": f"in.jsonl:{n}", "row": {}} for n in range(5)]}])
    assert change_rows("augment", source, out, [*TEMPLATE, f"target={target}"]).added == 3


def test_a_file_that_is_none_and_kinds_without_rows_are_told(tmp_path: Path, run: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"said": "a lamp is here", "kind": "low"}])
    for lines, told in (
        ([SHIPS, {"target": "x"}], r"collect.jsonl:2: is no line of a proof's collect.jsonl"),
        ([SHIPS, LABEL], r"no row of the kinds that are wanted \(ship, sea; label = high\)"),
    ):
        target = write(run, lines)
        with pytest.raises(DataError, match=told):
            change_rows("augment", source, tmp_path / "out.jsonl", [*TEMPLATE, f"target={target}"])
    target = write(tmp_path / "collect.jsonl", [SHIPS])
    with pytest.raises(SpecError, match=r"target: .*collect.jsonl lies in no run's folder"):
        change_rows("augment", source, tmp_path / "out.jsonl", [*TEMPLATE, f"target={target}"])
    assert not (tmp_path / "out.jsonl").exists()
