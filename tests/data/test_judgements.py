"""Doubtful judgements are told with their rows."""

from __future__ import annotations

import pytest

from tunesmith.data.judgements import Judgements
from tunesmith.examples import Chat, Example, Feedback, Preference, Turn


def pair(asked: str, better: str, worse: str) -> Preference:
    sides = ((Turn("assistant", better),), (Turn("assistant", worse),))
    return Preference(Chat((Turn("user", asked),)), *sides)


def judged(desirable: bool) -> Feedback:
    return Feedback(Chat((Turn("user", "a?"), Turn("assistant", "b"))), desirable)


def notes(*examples: Example) -> list[str]:
    found = Judgements()
    for n, example in enumerate(examples, 1):
        found.add(f"f:{n}", example)
    return found.notes()


def test_a_pair_both_ways_round_is_told_with_both_rows() -> None:
    (told,) = notes(pair("a?", "x", "y"), pair("b?", "y", "x"), pair("a?", "y", "x"))
    assert told.startswith("1 pair contradicts") and "(f:1 / f:3)" in told


def test_an_answer_that_begins_with_its_question_is_told() -> None:
    (told,) = notes(pair("a?", "a? x", "y"), pair("b?", "x", "y"))
    assert told.startswith("In 1 pair ") and "(f:1)" in told


@pytest.mark.parametrize(("desirable", "word"), [(True, "good"), (False, "bad")])
def test_judged_answers_of_one_kind_are_told(desirable: bool, word: str) -> None:
    (told,) = notes(judged(desirable), judged(desirable))
    assert told.startswith(f"All 2 judged answers are {word}")
    assert notes(judged(True), judged(False)) == []
