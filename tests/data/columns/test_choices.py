"""Which columns hold the options of a question, and which option a row calls right."""

from __future__ import annotations

import pytest

from tunesmith.data.columns.choices import Options, option_columns, right_letter
from tunesmith.errors import DataError


@pytest.mark.parametrize(
    ("columns", "marks"),
    [
        (["question", "A", "B", "C", "answer"], "ABC"),
        (["opb", "opa", "cop", "opc"], "abc"),  # MedMCQA, in no order
        (["ending0", "ending1", "ending2", "label"], "012"),
        (["sol2", "goal", "sol1"], "12"),
        (["answer1", "optionA", "optionB"], "AB"),  # the stem that most share
        (["A", "C"], ""),  # B is missing
        (["B", "C"], ""),  # does not begin at the beginning
        (["A", "answer"], ""),  # one is no choice
        (["0", "1"], ""),  # columns without names
    ],
)
def test_columns_of_one_option_each(columns: list[str], marks: str) -> None:
    assert "".join(option_columns(columns).values()) == marks


THREE = Options(("red", "green", "blue"))


@pytest.mark.parametrize(
    ("value", "first", "letters"),
    [
        ("B", None, "B"),
        ("(c)", None, "C"),
        ("green", None, "B"),
        ("B. green", None, "B"),
        ("AC", None, "AC"),
        (["C", "A"], None, "AC"),
        (1, 0, "B"),
        (1, 1, "A"),
        (2.0, 1, "B"),  # as pandas writes a column with an empty cell
        (None, 0, ""),
        (float("nan"), 0, ""),
        ("", 0, ""),
    ],
)
def test_the_right_option(value: object, first: int | None, letters: str) -> None:
    assert right_letter(value, THREE, "answer", first=first) == letters


def test_the_marks_of_the_file_come_before_its_letters() -> None:
    assert right_letter("B", Options(("red", "green"), marks=("b", "a")), "x", first=None) == "A"


@pytest.mark.parametrize(("value", "first"), [("1", None), (4, 1), (3, 0), ("purple", None)])
def test_a_value_that_names_no_option_is_refused(value: object, first: int | None) -> None:
    with pytest.raises(DataError, match="answer"):
        right_letter(value, THREE, "answer", first=first)
