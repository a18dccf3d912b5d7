"""Weights of an answer's tokens where parts of it count differently."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tunesmith.data.rendering.text_to_ids import token_weights
from tunesmith.errors import DataError
from tunesmith.examples import Turn

TEXT = "<think>no</think>ab no cd\n"
TURN = Turn("assistant", "ab no cd", weight=0.5, spans=((3, 5, 0.0), (6, 8, 3.0)))


def pairs(text: str) -> list[tuple[int, int]]:
    """Ids of two characters each."""
    return [(start, start + 2) for start in range(0, len(text), 2)]


def test_an_id_belongs_to_the_part_in_which_its_last_character_lies() -> None:
    weights = token_weights(TURN, TEXT, 14, pairs)
    begin = TEXT.rindex("ab no cd")
    assert begin == 17, "so ids end at odd places of the content: 1 (ab), 3, 5 (no), 7 (cd)"
    ends = [stop - begin for _, stop in pairs(TEXT)]
    expected = [0.0 if end in (4, 5) else 1.5 if end in (7, 8) else 0.5 for end in ends]
    assert weights[: len(ends)] == expected
    assert 0.0 in expected and 1.5 in expected
    assert weights[len(ends) :] == [0.5], "the stop token has the weight of the turn"
    assert expected[:4] == [0.5] * 4, "the same word in the thinking before is another part"


def test_without_parts_all_ids_have_the_weight_of_the_turn() -> None:
    assert token_weights(replace(TURN, spans=()), TEXT, 3, pairs) == [0.5] * 3


def test_an_answer_that_the_template_rewrote_is_refused() -> None:
    with pytest.raises(DataError, match="train_detail"):
        token_weights(TURN, "AB NO CD", 4, pairs)
