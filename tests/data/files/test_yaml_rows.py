"""Rows written as YAML are those that the same JSON holds, and keep what was written."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tunesmith.api import check
from tunesmith.data.files.file_facts import Faults
from tunesmith.data.files.sources import facts, parts, rows
from tunesmith.data.find import held_part
from tunesmith.errors import DataError

ROWS = """\
- instruction: Is Norway NO?
  input: ""
  output: no
- instruction: When?   # a comment
  input: ~
  output: 12:30
- instruction: 你好
  input:
  output: |
    007,
    in two lines
"""
READ = [
    {"instruction": "Is Norway NO?", "input": "", "output": "no"},
    {"instruction": "When?", "input": None, "output": "12:30"},
    {"instruction": "你好", "input": None, "output": "007,\nin two lines\n"},
]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path) -> list[object]:
    return [one.row for one in rows(path)]


def test_a_value_is_the_text_that_was_written(tmp_path: Path) -> None:
    assert read(written(tmp_path / "rows.yaml", ROWS)) == READ
    packed = tmp_path / "rows.yml.gz"
    packed.write_bytes(gzip.compress(ROWS.encode("utf-16")))
    assert read(packed) == READ
    assert [one.number for one in rows(packed)] == [1, 2, 3]


def test_lists_side_by_side_are_parts_and_documents_are_rows(tmp_path: Path) -> None:
    listed = "".join(f"  {line}\n" for line in ROWS.splitlines())
    both = written(tmp_path / "both.yaml", f"train:\n{listed}test:\n{listed}")
    assert parts(both) == ["train", "test"] and read(both) == READ
    assert read(both.with_name("both.yaml#test")) == READ
    assert held_part(str(both)) == f"{both}#test"
    single = [f"question: q{n}\nanswer: a{n}\n" for n in range(3)]
    documents = written(tmp_path / "documents.yaml", "---\n".join(single))
    assert read(documents) == [{"question": f"q{n}", "answer": f"a{n}"} for n in range(3)]


def test_the_ledger_says_yaml_and_adds_up(tmp_path: Path) -> None:
    text = "".join(f"- {{instruction: question {n}?, output: answer {n}}}\n" for n in range(8))
    found = check({"data": str(written(tmp_path / "rows.yaml", text))})
    assert "rows.yaml: yaml, utf-8; columns: instruction, output" in "\n".join(found.head())
    assert (found.ledger.rows, found.ledger.different) == (8, 8)


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("- question: a: b\n  answer: c\n", ":1", "not YAML"),
        ("- &a {question: q, answer: a}\n- *a\n", ":1", "alias"),
        ("- {question: q, answer: a}\n- ? [1, 2]\n  : x\n", ":2", "name of a column"),
        ("model: starter\ndata: rows.json\n", "", "settings of a run"),
        ("just words\n", "", "not objects"),
    ],
)
def test_what_is_no_rows_is_told_with_its_place(
    text: str, place: str, told: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "rows.yaml", text)
    with pytest.raises(DataError) as caught:
        read(path)
    assert f"{path}{place}" in str(caught.value) and told in str(caught.value)


def test_a_key_that_stands_twice_is_told(tmp_path: Path) -> None:
    text = "- {question: q, answer: a}\n- {question: q, answer: a, answer: b}\n"
    faults = Faults()
    path = written(tmp_path / "rows.yaml", text)
    assert [one.row["answer"] for one in rows(path, faults=faults)] == ["a", "b"]
    assert facts(path).columns == ("question", "answer")
    assert any("answer" in note for note in faults.notes())
