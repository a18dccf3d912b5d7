"""What is typed: questions of several lines, and files of questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from material.prepared_rows import prepared, written
from tunesmith.cli.terminal_input import asked_line, rows_of
from tunesmith.data.asked_rows import AskedRows


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        (["  one "], "one"),
        ([""], None),
        (['"""', "two", "", "lines", '"""'], "two\n\nlines"),
        (['"""two', 'lines"""'], "two\nlines"),
        (['"""one"""'], "one"),
        (['"""', "and it ends"], None),
    ],
    ids=str,
)
def test_a_question_of_several_lines_stands_between_marks(
    monkeypatch: pytest.MonkeyPatch, typed: list[str], asked: str | None
) -> None:
    lines = iter(typed)

    def read(prompt: str = "") -> str:
        line = next(lines, None)
        if line is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", read)
    assert asked_line() == asked


@pytest.mark.parametrize(
    ("objective", "column"), [("sft", "question"), ("pretrain", "text"), ("classify", "text")]
)
def test_a_line_of_a_file_is_a_row_under_the_name_that_the_training_reads(
    tmp_path: Path, objective: str, column: str
) -> None:
    rows = {
        "sft": [{"instruction": f"q{n}", "output": f"a{n}"} for n in range(8)],
        "pretrain": [{"text": f"a text {n}"} for n in range(8)],
        "classify": [{"text": f"a text {n}", "label": "xy"[n % 2]} for n in range(8)],
    }[objective]
    found = prepared(written(tmp_path / "rows.jsonl", rows), objective)
    asked = AskedRows(found.render.data, found.ledger.files, found.objective)
    (tmp_path / "asked.txt").write_text("What is this?\nAnd that?\n", "utf-8")
    lines = dict(rows_of(str(tmp_path / "asked.txt"))())
    assert list(lines.values()) == ["What is this?", "And that?"]
    (first, _) = [asked.row_of(str(line)) for line in lines.values()]
    assert first == {column: "What is this?"}
    assert asked.asks(first) is not None
