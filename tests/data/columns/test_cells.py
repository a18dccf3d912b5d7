"""What a cell of a published data set holds."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.data.columns.cells import first_answer, is_id, printed_objects


@pytest.mark.parametrize(
    ("value", "name", "answer"),
    [
        ({"text": ["Rome", "rome"], "answer_start": [3, 3]}, "answers", "Rome"),  # SQuAD
        ({"text": [], "answer_start": []}, "answers", ""),  # SQuAD 2, unanswerable
        ([{"text": "Rome", "answer_start": 3}], "answers", "Rome"),
        ({"value": "Rome", "aliases": ["Roma"], "type": "x"}, "answer", "Rome"),  # TriviaQA
        ([{"provenance": []}, {"answer": "Rome", "meta": {}}], "output", "Rome"),  # KILT
        ([{"answer": "yes"}, {"answer": "no"}], "answers", "yes"),  # VQA
        (["one", "two"], "answers", "one"),
        ([], "answers", ""),
        (["one", "two"], "answer", ["one", "two"]),  # not a name of several
        (["one"], "answer", "one"),
        ("Rome", "answers", "Rome"),
        (3, "answers", 3),
    ],
)
def test_the_first_of_several_answers(value: Any, name: str, answer: Any) -> None:
    assert first_answer(value, name) == answer


def test_objects_that_python_or_numpy_printed_are_read_and_nothing_else() -> None:
    turns = [{"role": "user", "content": "it's 3"}, {"role": "assistant", "content": None}]
    assert printed_objects(str(turns)) == turns
    assert printed_objects(str(turns).replace("}, {", "}\n {")) == turns, "numpy writes no comma"
    for text in ("[1, 2]", "[{'a': open('x')}]", "[{'a': 1}, 2]", "[{'a': ", "see [{'a': 1}]"):
        assert printed_objects(text) is None, text


@pytest.mark.parametrize(
    ("values", "only_names_the_row"),
    [
        (["train-1", "train-2"], True),
        ([1, 2, 3], True),
        (["5f2b8c1e9a7d4e30", "5f2b8c1e9a7d4e31"], True),
        (["https://a.org/1", "https://a.org/1"], True),
        ([1, 2, 2], False),  # a value that comes twice may be a label
        (["yes", "no"], False),
        ([], False),
        ([7], False),
    ],
)
def test_a_column_that_only_names_the_row(values: list[Any], only_names_the_row: bool) -> None:
    assert is_id("x", [{"x": value} for value in values]) is only_names_the_row
