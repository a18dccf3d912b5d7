"""What a cell says of a text's classes, and which columns hold texts and classes."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tunesmith.data.columns.labels import (
    flag_columns,
    flag_in,
    label_column,
    labelled_columns,
    labels_of,
    pair_columns,
)


@pytest.mark.parametrize(
    ("value", "field", "labels"),
    [
        (None, "label", ()),
        (math.nan, "label", ()),
        ("", "label", ()),
        (True, "label", ("true",)),
        (3, "label", ("3",)),
        (2.5, "label", 2.5),
        ("2.5", "label", 2.5),
        ("1e3", "label", ("1e3",)),
        (" cat ", "label", ("cat",)),
        ("cat, dog", "label", ("cat, dog",)),
        ("cat, dog；鸟|", "labels", ("cat", "dog", "鸟")),
        (["cat", 1], "label", ("cat", "1")),
        ('["cat", "dog"]', "label", ("cat", "dog")),
        ("['cat', 'dog']", "label", ("cat", "dog")),
        ("[cat", "label", ("[cat",)),
        ("[cat]", "label", ("[cat]",)),
    ],
)
def test_a_cell_is_names_or_a_number(value: Any, field: str, labels: Any) -> None:
    assert labels_of(value, field) == labels


def test_the_column_of_labels_is_told_by_its_name_where_only_one_may_be_it() -> None:
    assert label_column(["text", "label", "score"]) == "label"
    assert label_column(["text", "score"]) == "score"
    assert label_column(["text", "score", "intent"]) is None


def test_a_flag_is_one_or_zero_and_nothing_else() -> None:
    seen = [flag_in(value) for value in (1, "1.0", "TRUE", 0, "false", 2, "yes", None)]
    assert seen == [True, True, True, False, False, None, None, None]


def test_columns_of_zeros_and_ones_are_classes_where_two_of_them_vary() -> None:
    rows = [{"text": "a", "toxic": n % 2, "insult": n // 2, "row_id": n % 2} for n in range(4)]
    rows = [row | {"insult": row["insult"] % 2} for row in rows]
    assert flag_columns(["text", "toxic", "insult"], rows) == ("toxic", "insult")
    assert flag_columns(["text", "toxic"], rows) == ()
    same = [row | {"insult": 0} for row in rows]
    assert flag_columns(["text", "toxic", "insult"], same) == ()


def test_few_short_values_beside_texts_are_labels() -> None:
    rows = [{"x": f"a text {n}", "y": "ab"[n % 2], "z": f"another {n}"} for n in range(9)]
    assert labelled_columns(["x", "y"], rows) == {"text": "x", "label": "y"}
    assert labelled_columns(["x", "z", "y"], rows) == {"text": "x", "second": "z", "label": "y"}
    assert labelled_columns(["x", "z"], rows) is None
    assert labelled_columns(["x", "y"], rows[:3]) is None, "each value comes three times at least"


def test_two_texts_and_a_number_are_a_pair() -> None:
    rows = [{"x": f"a text {n}", "y": f"another {n}", "grade": n / 4} for n in range(5)]
    assert pair_columns(["x", "y"], rows) == {"text": "x", "second": "y"}
    assert pair_columns(["x", "grade", "y"], rows) == {
        "text": "x",
        "second": "y",
        "similarity": "grade",
    }
    assert pair_columns(["x", "grade"], rows) is None
    named = [{"title": f"a text {n}", "author": f"another {n}"} for n in range(5)]
    assert pair_columns(["title", "author"], named) is None


def test_classes_that_are_ticked_in_chinese() -> None:
    ticks = [("是", "√"), ("否", "×"), ("是", "×"), ("否", "√")]
    rows = [{"text": f"text {n}", "ads": a, "spam": b} for n, (a, b) in enumerate(ticks)]
    assert flag_columns(["text", "ads", "spam"], rows) == ("ads", "spam")
    assert [flag_in(row["ads"]) for row in rows] == [True, False, True, False]
    assert flag_in("不是") is None
