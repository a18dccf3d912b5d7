"""Each reward on answers whose worth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunesmith.rewards import REWARDS
from tunesmith.settings.family import Family


def made(settings: Any) -> Any:
    assert isinstance(REWARDS, Family)
    return REWARDS.make(REWARDS.config(settings))


def worth(settings: Any, completion: str, **row: Any) -> float | None:
    return made(settings).reward("What?", completion, row)


TABLE = [
    ("exact", " positive.", {"answer": "Positive"}, 1),
    ("exact", "not positive", {"answer": "positive"}, 0),
    ("exact", "<think>negative?</think>\npositive", {"answer": "positive"}, 1),
    ("exact", "很好。", {"answer": "很好"}, 1),
    ({"name": "exact", "strict": True}, "positive.", {"answer": "positive"}, 0),
    ({"name": "exact", "column": "label"}, "1", {"label": 1}, 1),
    ("number", "so 3 + 4 = 7.", {"answer": "#### 7"}, 1),
    ("number", "7 apples, not 8", {"answer": "7"}, 0),
    ("number", "it is 1,234.50 dollars", {"answer": "1234.5"}, 1),
    ("number", r"thus \boxed{\frac{3}{4}}, as 9 shows", {"answer": "0.75"}, 1),
    ("number", "５０％", {"answer": "0.5"}, 1),
    ("number", "-5", {"answer": "5"}, 0),
    ("number", "none", {"answer": "5"}, 0),
    ("number", "5/0", {"answer": "5"}, 0),
    ("number", "5", {"answer": "five"}, None),
    ({"name": "number", "tolerance": 0.01}, "3.14", {"answer": "3.14159"}, 1),
    ("choice", "B", {"answer": "B"}, 1),
    ("choice", "(b) because A is wrong", {"answer": "B. Paris"}, 1),
    ("choice", "A seems right, but the answer is **C**.", {"answer": "C"}, 1),
    ("choice", "答案：D", {"answer": "D"}, 1),
    ("choice", "A or B", {"answer": "B"}, 0),
    ("choice", "Because", {"answer": "B"}, 0),
    ("choice", "B", {"answer": "Paris"}, None),
    ({"name": "format", "pattern": "Answer: .+"}, "Answer: 5\n", {}, 1),
    ({"name": "format", "pattern": "Answer: .+"}, "The Answer: 5", {}, 0),
    ({"name": "format", "pattern": "<a>.+</a>"}, "<a>x\ny</a>", {}, 1),
    ("json", '{"a": 1}', {}, 1),
    ("json", "{a: 1}", {}, 0),
    ("json", '```json\n{"a": 1}\n```', {}, 0),
    ({"name": "json", "fenced": True}, '```json\n{"a": 1}\n```', {}, 1),
    ({"name": "json", "keys": ["a", "b"]}, '{"a": 1}', {}, 0.75),
    ({"name": "json", "keys": ["a"]}, "[1]", {}, 0),
    ("json", '{"a": NaN}', {}, 0),
    ("json", "[" * 100_000, {}, 0),
    ({"name": "json", "json_schema": {"required": ["a"]}}, '{"a": 1}', {}, 1),
    ({"name": "json", "json_schema": {"required": ["a"]}}, '{"b": 1}', {}, 0.5),
    ({"name": "json", "json_schema": {"required": ["a"]}}, "b: 1", {}, 0),
    (
        {"name": "json", "keys": ["a"], "json_schema": {"maxProperties": 1}},
        '{"a":1,"b":2}',
        {},
        0.75,
    ),
    ({"name": "length", "target": 4}, "one two three four", {}, 1),
    ({"name": "length", "target": 4}, "one two three", {}, 0.75),
    ({"name": "length", "target": 4}, "今天很好", {}, 1),
    ({"name": "length", "target": 4}, "a " * 9, {}, 0),
    ({"name": "length", "target": 3, "unit": "characters"}, "abc", {}, 1),
    ({"name": "language", "language": "zh"}, "好 ok", {}, 1 / 3),
    ({"name": "language", "language": "en"}, "good 好", {}, 4 / 5),
    ({"name": "language", "language": "ja"}, "ですok", {}, 0.5),
    ({"name": "language", "language": "en"}, "123", {}, 0),
    ("repetition", "a b c d", {}, 0),
    ("repetition", "a b a b a b", {}, -0.5),
    ("repetition", "a", {}, 0),
    ("similarity", "the cat sat", {"answer": "the cat sat"}, 1),
    ("similarity", "the dog sat", {"answer": "the cat sat"}, 2 / 3),
    ({"name": "similarity", "metric": "chrf"}, "abcdefgh", {"answer": "abcdefgh"}, 1),
]


@pytest.mark.parametrize(("settings", "completion", "row", "wanted"), TABLE)
def test_an_answer_is_worth_what_it_should_be(
    settings: Any, completion: str, row: dict[str, Any], wanted: float | None
) -> None:
    found = worth(settings, completion, **row)
    assert found == (wanted if wanted is None else pytest.approx(wanted))


def test_every_reward_is_in_the_table_or_has_a_test_of_its_own() -> None:
    tested = {one if isinstance(one, str) else one["name"] for one, *_ in TABLE}
    assert set(REWARDS.names()) == tested | {"code", "function", "judge", "likelihood", "model"}


def test_a_reward_names_the_columns_that_it_reads() -> None:
    assert made({"name": "exact", "column": "gold"}).columns == ("gold",)
    assert made({"name": "length", "target": 3}).columns == ()


def test_a_function_of_the_users_own_sees_prompt_answer_and_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "def reward(prompt, completion, row):\n"
        "    return len(prompt) + len(completion) + row['more']\n"
    )
    monkeypatch.chdir(tmp_path)
    config = REWARDS.config({"name": "function", "path": "./mine.py:reward"})
    assert config.path == f"{tmp_path}/mine.py:reward", "it is found again from anywhere"
    assert REWARDS.make(config).reward("ab", "c", {"more": 0.5}) == 3.5
