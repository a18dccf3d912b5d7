"""Sheets as people lay them out: parts of a data set, hidden sheets, merged cells, a line of groups
above the names, and a table that does not begin in the first cell.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from material.prepared_rows import prepared
from material.read_rows import read, values
from tunesmith.data.files.sources import rows
from tunesmith.data.find import held_part
from tunesmith.errors import DataError

ROWS = 8


def book(path: Path, fill: Callable[[Any], None]) -> Path:
    made = openpyxl.Workbook()
    fill(made)
    made.save(path)
    return path


def pairs(sheet: Any, word: str) -> None:
    sheet.append(["question", "answer"])
    for n in range(ROWS):
        sheet.append([f"{word} q{n}", f"a{n}"])


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test"), ("Train", "dev"), ("训练集", "验证集")]
)
def test_of_sheets_that_are_parts_the_training_part_is_trained(
    tmp_path: Path, train: str, test: str
) -> None:
    def fill(made: Any) -> None:
        made.active.title = test
        pairs(made.active, "held")
        pairs(made.create_sheet(train), "trained")

    path = book(tmp_path / "rows.xlsx", fill)
    reading = read(path, "sft")
    assert [values(chat)[0] for _, chat in reading] == [f"trained q{n}" for n in range(ROWS)]
    assert any(repr(train) in note for note in reading.notes)
    assert held_part(str(path)) == f"{path}#{test}"
    held = [values(chat)[0] for _, chat in read(Path(f"{path}#{test}"), "sft")]
    assert held == [f"held q{n}" for n in range(ROWS)]
    found = prepared(path, held_out=f"{path}#{test}")
    assert (len(found.train), len(found.proof) + len(found.watch)) == (ROWS, ROWS)


def test_sheets_of_other_names_are_all_rows_and_a_wrong_name_is_told(tmp_path: Path) -> None:
    def fill(made: Any) -> None:
        made.active.title = "1月"
        pairs(made.active, "one")
        pairs(made.create_sheet("2月"), "two")

    path = book(tmp_path / "rows.xlsx", fill)
    assert len(list(read(path, "sft"))) == 2 * ROWS
    assert len(list(read(Path(f"{path}#2月"), "sft"))) == ROWS
    with pytest.raises(DataError, match="1月, 2月"):
        read(Path(f"{path}#3月"), "sft")


def test_a_hidden_sheet_is_left_out_and_named(tmp_path: Path) -> None:
    def fill(made: Any) -> None:
        pairs(made.active, "new")
        old = made.create_sheet("old")
        pairs(old, "old")
        old.sheet_state = "hidden"

    reading = read(book(tmp_path / "rows.xlsx", fill), "sft")
    assert [values(chat)[0] for _, chat in reading] == [f"new q{n}" for n in range(ROWS)]
    assert any(note.endswith("left out: old") for note in reading.notes)


def test_what_is_merged_downwards_belongs_to_each_of_its_rows(tmp_path: Path) -> None:
    def fill(made: Any) -> None:
        sheet = made.active
        sheet.append(["类别", "文本"])
        for n in range(ROWS):
            sheet.append([("体育", "财经")[n // 4] if n % 4 == 0 else None, f"第{n}个文本在这里"])
        sheet.merge_cells("A2:A5")
        sheet.merge_cells("A6:A9")

    found = [example.labels for _, example in read(book(tmp_path / "rows.xlsx", fill), "classify")]
    assert found == [("体育",)] * 4 + [("财经",)] * 4


def test_an_empty_cell_that_is_not_merged_stays_empty(tmp_path: Path) -> None:
    def fill(made: Any) -> None:
        sheet = made.active
        sheet.append(["text", "label"])
        for n in range(ROWS):
            sheet.append([f"text number {n} here", ("a", "b")[n % 2] if n else None])

    reading = read(book(tmp_path / "rows.xlsx", fill), "classify")
    assert len(list(reading)) == ROWS - 1
    assert [row.reason for row in reading.dropped] == ["no label"]


def test_a_line_of_groups_above_the_names_is_no_row(tmp_path: Path) -> None:
    def fill(made: Any) -> None:
        sheet = made.active
        sheet.append(["编号", "内容", None, "备注"])
        sheet.append([None, "问题", "答案", None])
        for place in ("B1:C1", "A1:A2", "D1:D2"):
            sheet.merge_cells(place)
        for n in range(ROWS):
            sheet.append([n, f"第{n}个问题是什么", f"第{n}个答案", "无"])

    found = [values(chat) for _, chat in read(book(tmp_path / "rows.xlsx", fill), "sft")]
    assert found == [[f"第{n}个问题是什么", f"第{n}个答案"] for n in range(ROWS)]


def test_a_table_may_begin_anywhere(tmp_path: Path) -> None:
    def fill(made: Any) -> None:
        sheet = made.active
        sheet.cell(4, 3, "question")
        sheet.cell(4, 4, "answer")
        for n in range(ROWS):
            sheet.cell(5 + n, 3, f"q{n}")
            sheet.cell(5 + n, 4, f"a{n}")

    found = [values(chat) for _, chat in read(book(tmp_path / "rows.xlsx", fill), "sft")]
    assert found == [[f"q{n}", f"a{n}"] for n in range(ROWS)]


GROUPS = ["基本信息", None, "内容", None]
NAMES = ["编号", "来源", "问题", "答案"]


@pytest.mark.parametrize(
    ("above", "merged"),
    [
        ([GROUPS], ["A1:B1", "C1:D1"]),
        ([["客服问答"], [None], ["制表人：张三", None, "日期：2024-01-01"]], []),
        ([["客服问答", None, None, None], GROUPS], ["A1:D1", "A2:B2", "C2:D2"]),
    ],
)
def test_what_stands_above_the_names_is_no_header(
    tmp_path: Path, above: list[list[object]], merged: list[str]
) -> None:
    book = openpyxl.Workbook()
    said = [[n, "电话", f"问题{n}怎么办", f"答案{n}在此"] for n in range(1, 7)]
    for row in [*above, NAMES, *said]:
        book.active.append(row)
    for cells in merged:
        book.active.merge_cells(cells)
    book.save(tmp_path / "rows.xlsx")
    found = [located.row for located in rows(tmp_path / "rows.xlsx")]
    assert [[*row] for row in found] == [NAMES] * 6
    assert [row["答案"] for row in found] == [one[3] for one in said]


def test_a_header_with_a_gap_stays_the_header(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in [["问题", None, "答案"], *[[f"问{n}", "电话", f"答{n}"] for n in range(6)]]:
        book.active.append(row)
    book.save(tmp_path / "rows.xlsx")
    found = [located.row for located in rows(tmp_path / "rows.xlsx")]
    assert found[0] == {"问题": "问0", "1": "电话", "答案": "答0"}
