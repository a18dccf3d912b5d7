"""What is odd about rows that can be read is told: keys that stand twice, cells without a result."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow
import pyarrow.parquet
import pytest

from tunesmith.data.files import jsonstream
from tunesmith.data.files.file_facts import Faults
from tunesmith.data.files.sources import facts, rows
from tunesmith.data.reading import examples
from tunesmith.data.steps import change, made
from tunesmith.errors import DataError
from tunesmith.examples import Chat
from tunesmith.settings.run import Data

ONE = '{"question": "q1", "answer": "a"}'
TWICE = '{"question": "q2", "answer": "b", "answer": "c"}'
SAME = '{"question": "q3", "answer": "d", "answer": "d"}'
WITHIN = '{"messages": [{"role": "user", "role": "system", "content": "x"}]}'


def notes(path: Path) -> list[str]:
    """Reads all rows of a file and returns what is odd about them."""
    faults = Faults()
    assert list(rows(path, faults=faults))
    return faults.notes()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", f"{ONE}\n{TWICE}\n{SAME}\n"),
        ("a.json", f"[{ONE}, {TWICE}, {SAME}]"),
        ("b.json", f'{{"version": {{"x": 1, "x": 2}}, "data": [{ONE}, {TWICE}, {SAME}]}}'),
        ("c.json", f'{{"k1": {ONE}, "k2": {TWICE}, "k3": {SAME}}}'),
        ("d.json", "\n".join(one.replace(", ", ",\n ") for one in (ONE, TWICE, SAME))),
        ("e.jsonl", "\n".join(one.replace('"', "'") for one in (ONE, TWICE, SAME))),
        ("f.json", f"[{ONE},{TWICE},{SAME}]".replace(":", " :\t")),
    ],
)
def test_a_key_that_a_row_has_twice_is_told(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    (told,) = notes(path)
    assert told.startswith(f"{name}: 1 row names 'answer' twice")
    assert 'row 2, such as "b", then "c"' in told
    assert [one.row["answer"] for one in rows(path)] == ["a", "c", "d"]


def test_keys_within_rows_and_many_rows_are_told_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([WITHIN] * 12), "utf-8")
    (told,) = notes(path)
    assert "12 rows name 'role' twice" in told and "row 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …" in told


def test_no_key_is_told_twice_where_a_value_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonstream, "_CHUNK", 3)
    path = tmp_path / "a.json"
    inner = '{"o": {"k": 1, "k": 2}, "text": "and some more of it"}'
    path.write_text(f"[{ONE}, {inner}, {ONE}]", "utf-8")
    (told,) = notes(path)
    assert "1 row names 'k' twice" in told and "row 2," in told


def test_a_key_that_stands_twice_is_in_the_notes_of_a_reading_and_of_a_step(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{ONE}\n{TWICE}\n{SAME}\n", "utf-8")
    reading = examples(Data(path=str(path)))
    for _ in range(2):
        assert [one.answer for _, one in reading if isinstance(one, Chat)] == ["a", "c", "d"]
        assert sum("names 'answer' twice" in note for note in reading.notes) == 1
    account = change(str(path), tmp_path / "b.jsonl", [made("clean", {})])
    assert sum("names 'answer' twice" in line for line in account.lines()) == 1


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    cells = [pyarrow.array([*"ab"])] * 3
    table = pyarrow.Table.from_arrays(cells, names=["question", "answer", "answer"])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="these columns twice: answer"):
        facts(tmp_path / "a.parquet")


def formulas(path: Path, change: Callable[[str], str] = str) -> Path:
    """Writes a workbook whose answers are formulas, with its sheet's text changed."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["question", "answer"])
    for number in range(2, 5):
        sheet.append([f"what is {number} + {number}?", f"={number}+{number}"])
    book.save(path.with_suffix(".draft"))
    with (
        zipfile.ZipFile(path.with_suffix(".draft")) as draft,
        zipfile.ZipFile(path, "w") as out,
    ):
        for name in draft.namelist():
            text = draft.read(name)
            sheet_text = name.startswith("xl/worksheets/")
            out.writestr(name, change(text.decode("utf-8")).encode() if sheet_text else text)
    return path


EMPTY = ("<v></v>", "<v/>", "<v />")


def calculated(text: str, result: str, kind: str = "") -> str:
    for empty in EMPTY:
        text = text.replace(empty, result)
    return text.replace("><f>", f"{kind}><f>")


@pytest.mark.parametrize("result", ["", "<v/>", "<v>0</v>"])
def test_formulas_that_nobody_has_calculated_are_told(tmp_path: Path, result: str) -> None:
    path = formulas(tmp_path / "a.xlsx", lambda text: calculated(text, result))
    with pytest.raises(DataError) as caught:
        list(rows(path))
    (problem,) = caught.value.problems
    assert "3 cells hold formulas whose results are not stored, such as Sheet!B2 =2+2; " in str(
        problem
    )
    assert "LibreOffice" in str(problem) and "CSV" in str(problem)


def test_formulas_with_results_are_read(tmp_path: Path) -> None:
    path = formulas(tmp_path / "a.xlsx", lambda text: calculated(text, "<v>7</v>"))
    assert [one.row["answer"] for one in rows(path)] == [7, 7, 7]
    empty = formulas(tmp_path / "b.xlsx", lambda text: calculated(text, "<v></v>", ' t="str"'))
    assert [one.row.get("answer") for one in rows(empty)] == [None] * 3


def test_a_size_that_a_program_wrote_wrongly_hides_no_column(tmp_path: Path) -> None:
    def small(text: str) -> str:
        return calculated(text, "<v>7</v>").replace('ref="A1:B4"', 'ref="A1"')

    assert facts(formulas(tmp_path / "a.xlsx", small)).columns == ("question", "answer")


def test_errors_of_a_spreadsheet_are_no_answers(tmp_path: Path) -> None:
    def broken(text: str) -> str:
        return calculated(text, "<v>#N/A</v>", ' t="e"')

    (tmp_path / "b.csv").write_text("question,answer\nq1,5\nq2,#N/A\nq3,#DIV/0!\n", "utf-8")
    for path, count in ((formulas(tmp_path / "a.xlsx", broken), 3), (tmp_path / "b.csv", 2)):
        faults = Faults()
        found = [one.row["answer"] for one in rows(path, faults=faults)]
        assert found.count(None) == count and not any("#" in str(one) for one in found)
        (told,) = faults.notes()
        assert f"{count} cells of the column 'answer' hold an error" in told and "#N/A" in told
    assert json.dumps(found) == '["5", null, null]'
