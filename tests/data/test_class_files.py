"""Folders whose files say the class of their texts: a file for each class, or a folder of files for
each, a text a file; and tables that end with a total.
"""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest

from material.read_rows import read, values
from tunesmith import api
from tunesmith.words import use


def folders(root: Path, *classes: str) -> Path:
    for name in classes:
        for n in range(3):
            (root / name).mkdir(parents=True, exist_ok=True)
            (root / name / f"{n}_7.txt").write_text(f"line 1 of {name} {n}\nline\t2\n")
    return root


def test_folders_are_classes_and_each_file_is_one_text(tmp_path: Path) -> None:
    reading = read(folders(tmp_path / "films", "bad", "good"), "classify")
    rows = [values(example) for _, example in reading]
    assert rows == [
        (f"line 1 of {name} {n}\nline\t2", None, (name,)) for name in ("bad", "good") for n in "012"
    ]
    assert reading.notes == [
        f"by their folder's name, 3 files, one text each, belong to the class '{name}'"
        for name in ("bad", "good")
    ]


def test_of_parts_that_hold_folders_of_classes_the_other_is_held_out(tmp_path: Path) -> None:
    root = folders(tmp_path / "films", "train/neg", "train/pos", "test/neg", "test/pos")
    (root / "train" / "links.txt").write_text("http://a.b\n")
    assert {values(one)[2] for _, one in read(root, "classify")} == {("neg",), ("pos",)}
    use("en")
    checked = api.check({"model": "starter", "objective": "classify", "data": str(root)})
    assert (checked.ledger.rows, checked.ledger.proof) == (12, 6)
    assert "2 classes: neg: 6, pos: 6" in checked.head()


def test_a_file_for_each_class_is_read_by_lines(tmp_path: Path) -> None:
    for name in ("bad", "good"):
        (tmp_path / f"{name}.txt").write_text(f"one {name}\ntwo {name}\n")
    rows = [values(example) for _, example in read(tmp_path, "classify")]
    assert rows == [
        (f"{number} {name}", None, (name,)) for name in ("bad", "good") for number in ("one", "two")
    ]


def test_a_folder_of_texts_for_pretraining_has_no_classes(tmp_path: Path) -> None:
    read_lines = [one.text for _, one in read(folders(tmp_path / "x", "a", "b"), "pretrain")]
    assert read_lines[:2] == ["line 1 of a 0", "line\t2"]


def test_many_files_do_not_fill_the_screen(tmp_path: Path) -> None:
    use("en")
    root = tmp_path / "many"
    for name in ("bad", "good"):
        (root / name).mkdir(parents=True)
        for n in range(15):
            (root / name / f"{n}.txt").write_text(f"a {name} text with number {n}, about {n * 7}")
    checked = api.check({"model": "starter", "objective": "classify", "data": str(root)})
    lines = checked.head()
    assert lines[20] == "and 10 more files with 10 rows"
    assert len(checked.to_json()["files"]) == 30


TOTALS = [("合计", "20"), ("Total:", "1,234.50"), ("总计", "20条")]
NO_TOTALS = [("合计", "正面"), ("the total", "20"), ("Total", "")]


@pytest.mark.parametrize(("word", "amount"), TOTALS)
def test_a_total_below_a_table_is_no_row(tmp_path: Path, word: str, amount: str) -> None:
    table = "评论,标签\n" + "".join(f"第{n}条,{('正面', '负面')[n % 2]}\n" for n in range(6))
    (tmp_path / "rows.csv").write_text(table + f'{word},"{amount}"\n', "utf-8")
    reading = read(tmp_path / "rows.csv", "classify")
    assert {values(example)[2] for _, example in reading} == {("正面",), ("负面",)}
    assert [(row.number, row.reason) for row in reading.dropped] == [(7, "not a row")]


@pytest.mark.parametrize(("word", "other"), NO_TOTALS)
def test_a_last_row_that_only_begins_so_is_kept(tmp_path: Path, word: str, other: str) -> None:
    table = "text,topic\n" + "".join(f"row {n} text,{('a', 'b')[n % 2]}\n" for n in range(6))
    (tmp_path / "rows.csv").write_text(table + f"{word},{other}\n", "utf-8")
    columns = {"text": "text", "label": "topic"}
    reading = read(tmp_path / "rows.csv", "classify", columns=columns)
    assert len([*reading]) + len([row for row in reading.dropped if row.reason != "not a row"]) == 7


def test_a_total_below_a_sheet_is_no_row(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["text", "label", "count"])
    for n in range(6):
        book.active.append([f"text {n}", ("a", "b")[n % 2], n])
    book.active.append(["Total", None, 15])
    book.save(tmp_path / "rows.xlsx")
    reading = read(tmp_path / "rows.xlsx", "classify")
    assert len([*reading]) == 6
    assert [row.reason for row in reading.dropped] == ["not a row"]


def test_a_total_below_each_sheet_is_no_row(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "1月"
    book.create_sheet("2月")
    for sheet in book.worksheets:
        for row in [["问题", "答案"], *[[f"{sheet.title}问{n}", f"答{n}"] for n in range(4)]]:
            sheet.append(row)
        sheet.append(["合计", 4])
    book.save(tmp_path / "rows.xlsx")
    reading = read(tmp_path / "rows.xlsx", "sft")
    assert [values(one)[1] for _, one in reading] == ["答0", "答1", "答2", "答3"] * 2
    assert [row.number for row in reading.dropped] == [5, 10]
