"""Answers to own questions, read back from questions.md."""

from __future__ import annotations

from itertools import product

import pytest

from tunesmith import words
from tunesmith.report.asked import asked
from tunesmith.report.language import Say
from tunesmith.training.evaluation.questions import page

SAID = {
    "en": ["base, before training", "step 1500", "tuned, step 3000"],
    "zh": ["原模型，训练之前", "第 1500 步", "微调后，第 3000 步"],
}


@pytest.mark.parametrize(("run", "reader"), product(SAID, SAID))
def test_when_an_answer_was_given_is_said_in_the_words_of_the_page(run: str, reader: str) -> None:
    given = [{"event": "answers", "step": step, "answers": ["so"]} for step in (0, 1500, 3000)]
    before = words.language()
    words.use(run)
    markdown = page(["Why?"], given, 3000)
    words.use(before)
    (question,) = asked(markdown, Say(reader))
    assert [when for when, _ in question.answers] == SAID[reader]
    assert [answer for _, answer in question.answers] == ["so"] * 3


def test_a_heading_that_a_person_wrote_stays() -> None:
    (question,) = asked("## Why?\n\n### at noon\n\nso\n", Say("zh"))
    assert question.answers == (("at noon", "so"),)
