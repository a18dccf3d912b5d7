"""Whether a turn is trained, and how much it counts, by the flags that files give their turns."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.data.columns.messages import turn_of
from tunesmith.errors import DataError


def said(**flags: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "Yes.", **flags}


@pytest.mark.parametrize(
    ("flags", "train", "weight"),
    [
        ({}, None, 1.0),
        ({"loss": "FALSE"}, False, 1.0),
        ({"train": 1.0}, True, 1.0),
        ({"trainable": 0}, False, 1.0),
        ({"loss_mask": 1}, True, 1.0),
        ({"loss_mask": "0"}, False, 1.0),
        ({"weight": 0}, False, 1.0),
        ({"weight": "0"}, False, 1.0),
        ({"weight": "0.5"}, True, 0.5),
        ({"weight": ""}, None, 1.0),
        ({"weight": None}, None, 1.0),
    ],
)
def test_flags_of_turns(flags: dict[str, Any], train: bool | None, weight: float) -> None:
    turn = turn_of(said(**flags), "messages[1]")
    assert (turn.train, turn.weight) == (train, weight)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"loss_mask": "some"}, "messages[1].loss_mask: says whether this turn is trained"),
        ({"weight": "-1"}, "messages[1].weight: a weight is a number, 0 or more"),
        ({"weight": "nan"}, "messages[1].weight: a weight is a number, 0 or more"),
        ({"weight": True}, "messages[1].weight: a weight is a number, 0 or more"),
    ],
)
def test_what_is_no_flag_is_told(flags: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError) as error:
        turn_of(said(**flags), "messages[1]")
    assert told in str(error.value)
