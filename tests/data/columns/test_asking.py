"""What a row asks, and whether it calls an answer good."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.data.columns.asking import (
    answers,
    asked,
    asked_by_any_name,
    judged,
    known,
    told,
    verdict_of,
)
from tunesmith.examples import Turn


def said(turns: list[Turn]) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in turns]


@pytest.mark.parametrize(
    ("row", "turns"),
    [
        ({"prompt": "who?"}, [("user", "who?")]),
        ({"instruction": "Translate.", "input": "cat"}, [("user", "Translate.\n\ncat")]),
        ({"instruction": "Translate.", "input": " "}, [("user", "Translate.")]),
        ({"question": "", "query": "who?"}, [("user", "who?")]),
        (
            {"system": "Be brief.", "history": [["a", "b"]], "query": "c"},
            [("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "c")],
        ),
        (
            {"prompt": [{"role": "user", "content": "who?"}], "system": "Be brief."},
            [("system", "Be brief."), ("user", "who?")],
        ),
        (
            {"messages": [{"role": "system", "content": "own"}], "system": "Be brief."},
            [("system", "own")],
        ),
        ({"chosen": "whole"}, []),
    ],
)
def test_what_is_asked(row: dict[str, Any], turns: list[tuple[str, str]]) -> None:
    assert said(asked(row)) == turns


def test_a_question_is_found_under_another_name() -> None:
    assert said(asked_by_any_name({"问题": "谁？"})) == [("user", "谁？")]
    assert said(asked_by_any_name({"prompt": "a", "问题": "b"})) == [("user", "a")]


def test_a_dialogue_in_one_text_is_turns() -> None:
    text = "\n\nHuman: who?\n\nAssistant: me\n\nHuman: why?"
    assert said(told(text, "user")) == [("user", "who?"), ("assistant", "me"), ("user", "why?")]
    assert said(told("Human: who?", "assistant")) == [("user", "who?")]
    assert said(told("He said\n\nHuman: x\n\nAssistant: y", "user"))[0][0] == "user"


@pytest.mark.parametrize(
    ("value", "turns"),
    [
        ("yes", [("assistant", "yes")]),
        ([], [("assistant", "")]),
        ("[71]", [("assistant", "[71]")]),
        ({"role": "assistant", "content": "yes"}, [("assistant", "yes")]),
        (
            '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]',
            [("user", "a"), ("assistant", "b")],
        ),
    ],
)
def test_an_answer_is_a_text_or_turns(value: Any, turns: list[tuple[str, str]]) -> None:
    assert said(answers({"chosen": value}, "chosen")) == turns


def test_our_names_stand_for_the_last_question_and_the_system_prompt() -> None:
    turns = [Turn("system", "s"), Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c")]
    assert known({"x": 1}, turns) == {"x": 1, "question": "c", "system": "s"}
    assert known({"x": 1}, []) == {"x": 1}


def test_verdicts_in_words_and_numbers() -> None:
    good = [verdict_of(value) for value in (True, 1, "1.0", "Thumbs up", "👍", "满意")]
    bad = [verdict_of(value) for value in (False, 0, -1, "down", "不满意", "FALSE")]
    assert good == [True] * 6 and bad == [False] * 6
    assert [verdict_of(value) for value in (2, "maybe", None)] == [None] * 3
    assert judged(frozenset({"label"}), {"label": "true"})
    assert not judged(frozenset({"label"}), {"label": "spam"})
    assert judged(frozenset({"kto_tag"}), {})
