"""What a question or a pair comes with is kept, whatever its column is called: the text that a
question is about, how much two texts belong together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from material.read_rows import read, read_as
from tunesmith.errors import DataError


def logic(n: int, text: str) -> dict[str, Any]:
    return {
        "text": text,
        "question": f"Which follows {n}?",
        "options": ["this", "that"],
        "answer": "that",
    }


def test_the_text_that_a_question_is_about_stands_before_it(tmp_path: Path) -> None:
    rows = [logic(n, f"All {n} are blue.") for n in range(6)]
    asked = read_as(tmp_path, "sft", rows)
    assert asked[2] == ["All 2 are blue.\nWhich follows 2?\nA. this\nB. that", "B"]
    reading = read(tmp_path / "rows.jsonl", "sft")
    assert not [note for note in reading.notes if "not used" in note]


def test_a_text_that_is_the_whole_row_is_no_context(tmp_path: Path) -> None:
    rows = [logic(n, f"Question: Which follows {n}? Answer: that") for n in range(6)]
    assert read_as(tmp_path, "sft", rows)[2] == ["Which follows 2?\nA. this\nB. that", "B"]


def test_what_goes_on_stands_before_its_endings(tmp_path: Path) -> None:
    made = {"activity_label": "Washing", "ctx": "She takes soap and", "endings": ["sings", "runs"]}
    rows = [{**made, "ctx": f"{made['ctx']} {n}", "label": "0"} for n in range(6)]
    asked = read_as(tmp_path, "sft", rows)
    assert asked[3] == ["Washing\nShe takes soap and 3\nA. sings\nB. runs", "A"]


@pytest.mark.parametrize(
    ("first", "second", "degree"),
    [
        ("sentence_A", "sentence_B", "relatedness_score"),
        ("文本A", "文本B", "相似度得分"),
        ("text1", "text2", "sim_score"),
        ("sentence1", "sentence2", "gold_score"),
    ],
)
def test_how_much_two_texts_belong_together_is_read(
    tmp_path: Path, first: str, second: str, degree: str
) -> None:
    rows = [{first: f"one {n}", second: f"two {n}", degree: n / 2, "len": n} for n in range(8)]
    assert read_as(tmp_path, "embed", rows)[5] == ("one 5", "two 5", 2.5, ())
    reading = read(tmp_path / "rows.jsonl", "embed")
    assert [note for note in reading.notes if degree in note] == []


def test_other_numbers_are_no_degrees(tmp_path: Path) -> None:
    rows = [{"text1": f"one {n}", "text2": f"two {n}", "language_score": n / 9} for n in range(8)]
    assert read_as(tmp_path, "embed", rows)[5] == ("one 5", "two 5", None, ())
    rows = [{"anchor": f"a {n}", "positive": f"p {n}", "negative": f"n {n}"} for n in range(8)]
    rows = [{**row, "similarity_margin": n} for n, row in enumerate(rows)]
    assert read_as(tmp_path, "embed", rows)[5] == ("a 5", "p 5", None, ("n 5",))


def test_a_number_that_may_count_from_0_or_1_names_its_column(tmp_path: Path) -> None:
    options = [{"question": f"Which {n}?", "options": ["a", "b", "c"]} for n in range(6)]
    rows = [{**row, "cop": 1 + n % 2} for n, row in enumerate(options)]
    with pytest.raises(DataError) as told:
        read_as(tmp_path, "sft", rows)
    assert "data.columns={answer_from_1: cop}" in str(told.value)
    reading = read(tmp_path / "rows.jsonl", "sft", columns={"answer_from_1": "cop"})
    assert [example.answer for _, example in reading][:2] == ["A", "B"]
