"""Files of one object of questions and answers, and objects that are no such thing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunesmith.data.files.keyed_answers import holds_answers
from tunesmith.data.files.sources import Faults, facts, rows
from tunesmith.data.reading import Reading
from tunesmith.errors import DataError
from tunesmith.examples import Chat
from tunesmith.settings.run import Data

ASKED = {
    "How do I return it?": "Within 30 days.",
    "Who pays?": "We do.",
    "产品怎么退货": "三十天内",
}


@pytest.mark.parametrize(
    ("value", "answers"),
    [
        (ASKED, True),
        ({f"intent {n}": f"It will take {n} days." for n in range(8)}, True),
        ({f"intent_{n}": "It will take a day." for n in range(7)}, False),  # as many as a row has
        ({str(n): ("bad", "good")[n % 2] for n in range(80)}, False),  # names of classes
        ({"q1": "a1", "q2": "a2"}, False),
        ({**ASKED, "answer": "None of them."}, False),  # a name of a column
        ({**ASKED, "When?": ["now", "never"]}, False),
        ({"instruction": "Add one to two, please.", "output": "3"}, False),
    ],
)
def test_whether_an_object_holds_questions_and_answers(
    value: dict[str, object], answers: bool
) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert holds_answers(text, True) is answers
    assert holds_answers(json.dumps(value, ensure_ascii=False, indent=2), True) is answers
    assert not holds_answers(f"{text}\n{text}", True), "two rows of a JSONL file"


def test_a_question_and_its_answer_are_a_row(tmp_path: Path) -> None:
    file = tmp_path / "faq.json"
    file.write_text(json.dumps(ASKED, ensure_ascii=False), encoding="utf-8")
    reading = Reading(Data(path=str(file)), Chat)
    read = [example for _, example in reading]
    assert all(isinstance(chat, Chat) for chat in read)
    assert [(chat.turns[0].content, chat.answer) for chat in read] == [*ASKED.items()]
    assert reading.notes[0].startswith("faq.json: its one object is read as questions and answers")
    named = {"question": "question", "answer": "answer"}
    assert facts(file, columns=named) == facts(file)


def test_a_question_that_stands_twice_is_two_rows_and_no_answer_is_told(tmp_path: Path) -> None:
    file = tmp_path / "faq.json"
    file.write_text('{"Who is it?": "me", "Who is it?": "you", "Who was it?": null}')
    found = [tuple(one.row.values()) for one in rows(file)]
    assert found == [("Who is it?", "me"), ("Who is it?", "you"), ("Who was it?", None)]
    asked = {f"Who is number {n}, do you know?": "It is number one." for n in range(30_000)}
    file.write_text(json.dumps({**asked, "Why?": 7}))
    faults = Faults()
    assert sum(1 for _ in rows(file, faults=faults)) == len(asked)
    with pytest.raises(DataError, match=r"faq.json:30001: .*'Why\?' has '7'; write a text"):
        faults.stop()


def test_keys_that_may_be_questions_or_columns_are_told_as_both(tmp_path: Path) -> None:
    file = tmp_path / "two.json"
    file.write_text('{"q1": "a1", "q2": "a2"}')
    with pytest.raises(DataError) as caught:
        Reading(Data(path=str(file)), Chat)
    told = str(caught.value)
    assert '[{"question": "q1", "answer": "a1"}]' in told
    assert "'data.columns={question: q1, answer: q2}'" in told
