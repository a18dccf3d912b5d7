"""Which of two answers a row calls better, in all the ways in which published rows say it."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.data.columns.better import apart, better_of, counted_from, says_better
from tunesmith.errors import DataError


@pytest.mark.parametrize(
    ("row", "first", "better"),
    [
        ({}, 0, 0),
        ({"better": 1}, 0, 1),
        ({"better": "1.0"}, 1, 0),
        ({"preferred": "Response B"}, 0, 1),
        ({"winner": "model_a"}, 0, 0),
        ({"winner": "tie (bothbad)"}, 0, None),
        ({"winner": "claude", "model_a": "gpt", "model_b": "claude"}, 0, 1),
        ({"choice": "回答乙"}, 0, 1),
        ({"偏好": "一样好"}, 0, None),
        ({"winner_model_a": 0, "winner_model_b": 1, "winner_tie": 0}, 0, 1),
        ({"winner_model_a": 0, "winner_model_b": 0, "winner_tie": 1}, 0, None),
        ({"preference_strength": -2}, 0, 0),
        ({"preference_strength": "3"}, 0, 1),
        ({"overall_preference": 0}, 0, None),
        ({"better": None, "choice": "second"}, 0, 1),
    ],
)
def test_the_better_one_is_found(row: dict[str, Any], first: int, better: int | None) -> None:
    assert better_of(row, first=first) == better


def test_a_side_may_be_named_by_its_text() -> None:
    assert better_of({"better": "no"}, ["yes", "no"]) == 1


@pytest.mark.parametrize(
    "row",
    [
        {"better": "blue"},
        {"better": 2},
        {"winner_model_a": 1, "winner_model_b": 1, "winner_tie": 0},
        {"preference_strength": "much"},
    ],
)
def test_a_word_that_names_no_side_is_told(row: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(row))):
        better_of(row)


def test_numbers_count_from_where_the_rows_do() -> None:
    assert counted_from([{"better": 1}, {"better": 2}]) == 1
    assert counted_from([{"better": 0}, {"better": 1}]) == 0
    assert counted_from([{"response_1": "a", "response_2": "b", "better": 1}]) == 1
    assert counted_from([{"response_0": "a", "response_1": "b", "better": 1}]) == 0
    assert counted_from([]) == 0


def test_the_columns_of_two_answers() -> None:
    assert apart(["prompt", "Response_A", "Response_B"]) == ("Response_A", "Response_B")
    assert apart(["response_1", "answer_2"]) is None
    assert says_better({"text", "winner"}) and not says_better({"text", "label"})


@pytest.mark.parametrize(
    ("columns", "pair"),
    [
        (["问题", "模型A回答", "模型B回答"], ("模型A回答", "模型B回答")),
        (["prompt", "response_1_text", "response_2_text"], ("response_1_text", "response_2_text")),
        (["甲方回答", "乙方回答"], ("甲方回答", "乙方回答")),
        (["part A", "part B"], None),
        (["AI_answer", "BI_answer"], None),
    ],
)
def test_sides_within_names(columns: list[str], pair: tuple[str, str] | None) -> None:
    assert apart(columns) == pair


@pytest.mark.parametrize(
    ("said", "index"),
    [
        ("A更好", 0),
        ("B 更好", 1),
        ("模型B胜出", 1),
        ("A is better", 0),
        ("model b wins", 1),
        ("都好", None),
    ],
)
def test_a_side_that_is_called_better(said: str, index: int | None) -> None:
    assert better_of({"评判结果": said}) == index
