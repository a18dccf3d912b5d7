"""Numbers, dates and truth values are read as they were written."""

from __future__ import annotations

import copy
import datetime
import json
import pickle
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pandas
import pyarrow
import pyarrow.parquet
import pytest

from conftest import SHARED_DATA
from tunesmith.data.files import sources
from tunesmith.data.files.numbers import Written
from tunesmith.data.reading import Reading, examples
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Labelled
from tunesmith.settings.run import Data


def answers(path: Path) -> list[str]:
    return [one.answer for _, one in reading(path) if isinstance(one, Chat)]


def reading(path: Path) -> Reading:
    return examples(Data(path=str(path)))


def workbook(path: Path, **sheets: Sequence[Sequence[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def test_json_numbers_keep_their_digits(tmp_path: Path) -> None:
    written = ["19.90", "1e5", "-0.10", "1234567890123456789", "7", "0.00001", "true", "false"]
    lines = [f'{{"question": "q{n}", "answer": {text}}}' for n, text in enumerate(written)]
    for name, text in (("a.jsonl", "\n".join(lines)), ("a.json", f"[{', '.join(lines)}]")):
        (tmp_path / name).write_text(text, "utf-8")
        assert answers(tmp_path / name) == written


@pytest.mark.parametrize(
    ("value", "form", "told"),
    [
        (0.1, "0%", "10%"),
        (0.1255, "0.0%", "12.6%"),
        (19.9, "0.00", "19.90"),
        (5, "0.0", "5.0"),
        (1234567.5, "#,##0.00", "1,234,567.50"),
        (-3.5, "0.00_);[Red](0.00)", "(3.50)"),
        (-3.5, "0.00", "-3.50"),
        (99, "[$¥-804]#,##0.00", "¥99.00"),
        (12, '0"个"', "12个"),
        (12, "0\\ 元", "12 元"),
        (123, "00000", "00123"),
        (0.25, "General", "0.25"),
        (0.25, "# ?/?", "0.25"),
        (12345, "0.00E+00", "12345"),
        (datetime.datetime(2020, 1, 2), "yyyy/m/d", "2020/1/2"),
        (datetime.datetime(2020, 1, 2), 'yyyy"年"m"月"d"日"', "2020年1月2日"),
        (datetime.datetime(2020, 1, 2), "[$-804]yyyy年mm月;@", "2020年01月"),
        (datetime.datetime(2020, 1, 2, 3, 4), "dd.mm.yy h:mm", "02.01.20 3:04"),
        (datetime.datetime(2020, 1, 2, 3, 4, 5), "mm:ss", "04:05"),
        (datetime.datetime(2020, 1, 2), "mm-dd-yy", "2020-01-02"),
        (datetime.datetime(2020, 1, 2), "d mmm yyyy", "2020-01-02"),
        (datetime.datetime(2020, 1, 2), "yyyy-mm-dd h:mm:ss", "2020-01-02"),
    ],
)
def test_a_sheets_cell_is_what_the_sheet_shows(
    tmp_path: Path, value: object, form: str, told: str
) -> None:
    path = workbook(tmp_path / "a.xlsx", one=[("question", "answer"), ("q", "b"), ("r", value)])
    book = openpyxl.load_workbook(path)
    book["one"]["B3"].number_format = form
    book.save(path)
    assert answers(path) == ["b", told]


def test_a_sheets_percentage_is_still_a_number(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", one=[("text", "label"), ("good", 0.5), ("bad", 0.125)])
    book = openpyxl.load_workbook(path)
    for cell in book["one"]["B"][1:]:
        cell.number_format = "0.0%"
    book.save(path)
    found = examples(Data(path=str(path)), Labelled)
    assert [one.labels for _, one in found if isinstance(one, Labelled)] == [0.5, 0.125]


def test_a_written_number_is_a_number_and_can_be_copied() -> None:
    one = Written("19.90")
    assert one == 19.9 and one * 2 == 39.8 and json.dumps({"a": one}) == '{"a": 19.9}'
    for other in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert str(other) == f"{other}" == "19.90"


def test_an_excel_file_is_read_as_it_is_shown() -> None:
    path = SHARED_DATA.parent / "cases" / "dates.xlsx"
    if not path.exists():
        pytest.skip(f"there is no {path}")
    assert answers(path)[:3] == ["1234567890123457000", "00123", "2020-01-02"]


def test_days_and_times_of_tables(tmp_path: Path) -> None:
    told = [datetime.datetime(2020, 1, 2), datetime.datetime(2020, 1, 2, 3, 4, 5)]
    lasts = [datetime.timedelta(hours=30, minutes=5), datetime.timedelta(seconds=61)]
    rows = [["question", "answer"], *[[f"q{n}", one] for n, one in enumerate(told + lasts)]]
    shown = ["2020-01-02 00:00:00", "2020-01-02 03:04:05"]
    times = [*shown, "30:05:00", "0:01:01"]
    assert answers(workbook(tmp_path / "a.xlsx", rows=rows)) == times
    table = pyarrow.table({"question": ["a", "b"], "answer": told})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert answers(tmp_path / "a.parquet") == shown
    table = pyarrow.table({"question": ["a", "b"], "answer": [Decimal("19.90"), Decimal("2.00")]})
    pyarrow.parquet.write_table(table, tmp_path / "b.parquet")
    assert answers(tmp_path / "b.parquet") == ["19.90", "2.00"]


NEW_YEAR = datetime.datetime(2024, 1, 1)


@pytest.mark.parametrize(
    ("finest", "shown"),
    [
        ({"days": 3}, "2024-01-01"),
        ({"seconds": 1}, "2024-01-01 00:00:00"),
        ({"milliseconds": 5}, "2024-01-01 00:00:00.000"),
        ({"microseconds": 7}, "2024-01-01 00:00:00.000000"),
    ],
)
@pytest.mark.parametrize("unit", ["us", "ns"])
def test_the_times_of_a_column_have_one_form(
    tmp_path: Path, finest: dict[str, int], shown: str, unit: str
) -> None:
    last = NEW_YEAR + datetime.timedelta(**finest)
    times = pyarrow.array([NEW_YEAR, None, last], pyarrow.timestamp(unit))
    days = pyarrow.array([NEW_YEAR] * 3, pyarrow.timestamp("ms"))
    table = pyarrow.table({"question": [*"abc"], "answer": times, "day": days})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=1)
    found = [one.row for one in sources.rows(tmp_path / "a.parquet")]
    assert [row["answer"] for row in found[:2]] == [shown, None]
    assert datetime.datetime.fromisoformat(found[2]["answer"]) == last
    assert len(found[2]["answer"]) == len(shown)
    assert {row["day"] for row in found} == {"2024-01-01"}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_whole_numbers_beside_a_gap_stay_whole(tmp_path: Path, kind: str) -> None:
    table = pandas.DataFrame({"question": [*"abcd"], "answer": [3, None, 1000000, -2]})
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        table.to_csv(path, index=False)
    elif kind == "jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_parquet(path)
    assert answers(path) == ["3", "1000000", "-2"]


def test_numbers_with_a_point_keep_it_where_there_is_no_gap(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\na,3.0\nb,4.0\n", "utf-8")
    assert answers(tmp_path / "a.csv") == ["3.0", "4.0"]
    (tmp_path / "b.csv").write_text("question,answer\na,3.0\nb,\nc,4.5\n", "utf-8")
    assert answers(tmp_path / "b.csv") == ["3.0", "4.5"]


def test_sheets_of_notes_beside_a_table_are_left_out_and_named(tmp_path: Path) -> None:
    notes = [["How to use this file"], [None], ["Fill in one row for each question."]]
    rows = [["question", "answer"], ["a", "b"], ["c", "d"]]
    path = workbook(tmp_path / "a.xlsx", Notes=notes, Rows=rows, More=[*rows[:1], ["e", "f"]])
    found = reading(path)
    assert [one.answer for _, one in found if isinstance(one, Chat)] == ["b", "d", "f"]
    assert any("left out: Notes" in note for note in found.notes)
    quiet = reading(workbook(tmp_path / "b.xlsx", Rows=rows, More=rows))
    assert not any("left out" in note for note in quiet.notes)


def test_two_different_tables_are_refused(tmp_path: Path) -> None:
    rows = [["question", "answer"], ["a", "b"]]
    path = workbook(tmp_path / "a.xlsx", One=rows, Two=[["text", "label"], ["a", "b"]])
    with pytest.raises(DataError, match="Two: this sheet begins with another row"):
        reading(path)


def test_numbers_within_an_answer_keep_their_digits(tmp_path: Path) -> None:
    text = '{"price": 1.10, "parts": [2.50, {"n": 1e5}], "x": "1.10", "half": 0.5}'
    (tmp_path / "a.jsonl").write_text(f'{{"question": "q", "answer": {text}}}', "utf-8")
    assert answers(tmp_path / "a.jsonl") == [text]


def test_a_number_that_begins_with_zero_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "q", "answer": 007}', "utf-8")
    with pytest.raises(DataError, match="does not begin with 0"):
        answers(tmp_path / "a.jsonl")


def test_a_list_of_one_text_that_pandas_wrote_is_taken_out(tmp_path: Path) -> None:
    rows = {"question": [*"abc"], "answer": [["one"], ["it's"], ['say "so"']]}
    pandas.DataFrame(rows).to_csv(tmp_path / "a.csv", index=False)
    assert answers(tmp_path / "a.csv") == ["one", "it's", 'say "so"']
    found = reading(tmp_path / "a.csv")
    assert list(found) and any("taken out of the list" in note for note in found.notes)
    mixed = {"question": [*"abc"], "answer": [["one"], ["two", "three"], "print([1])"]}
    pandas.DataFrame(mixed).to_csv(tmp_path / "b.csv", index=False)
    assert answers(tmp_path / "b.csv") == ["['one']", "['two', 'three']", "print([1])"]


def test_times_and_numbers_within_objects_of_a_table_are_written(tmp_path: Path) -> None:
    one = {"when": NEW_YEAR, "price": Decimal("1.10"), "days": [NEW_YEAR.date()]}
    table = pyarrow.table({"question": [*"abc"], "answer": [one] * 3})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    told = '{"when": "2024-01-01", "price": 1.10, "days": ["2024-01-01"]}'
    assert answers(tmp_path / "a.parquet") == [told] * 3


def test_a_column_of_nothing_but_nan_is_empty(tmp_path: Path) -> None:
    text = "instruction,input,output\n" + "".join(f"do {n},NaN,x{n}\n" for n in range(4))
    (tmp_path / "a.csv").write_text(text, "utf-8")
    found = [one for _, one in reading(tmp_path / "a.csv") if isinstance(one, Chat)]
    assert [one.turns[0].content for one in found] == [f"do {n}" for n in range(4)]


def test_rows_in_a_list_of_an_answer_of_a_service(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}", "answer": f"a{n}"} for n in range(3)]
    whole = {"code": 0, "data": {"list": rows, "total": 3}}
    (tmp_path / "a.json").write_text(json.dumps(whole), "utf-8")
    assert answers(tmp_path / "a.json") == ["a0", "a1", "a2"]
