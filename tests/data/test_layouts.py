"""An example written as a row is read as the same example, or refused where something is lost."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.data.layouts import row_of
from tunesmith.errors import DataError
from tunesmith.examples import (
    Chat,
    Example,
    Feedback,
    Labelled,
    Preference,
    Span,
    Tagged,
    Text,
    TextPair,
    Turn,
)
from tunesmith.settings.family import READERS

ASKED = (Turn("system", "Be brief."), Turn("user", "who?"))
CHAT = Chat((*ASKED, Turn("assistant", "me"), Turn("user", "why?"), Turn("assistant", "so")))


def read_back(row: dict[str, Any], kind: type) -> list[Example]:
    """The row as each reader of this kind that takes it reads it."""
    known = [READERS.get(name) for name in READERS.names()]
    fitting = [cls for cls in known if cls.gives is kind and cls.matches(frozenset(row), row)]
    assert fitting, f"no reader takes {row}"
    return [cls().read(row) for cls in fitting]


@pytest.mark.parametrize("layout", ["messages", "alpaca", "sharegpt"])
def test_a_conversation_comes_back(layout: Any) -> None:
    for example in read_back(row_of(CHAT, layout), Chat):
        assert isinstance(example, Chat)
        assert [(turn.role, turn.content) for turn in example.turns] == [
            (turn.role, turn.content) for turn in CHAT.turns
        ]


@pytest.mark.parametrize(
    "example",
    [
        Text("a document"),
        Labelled("a text", labels=("cat",)),
        Labelled("a text", "another", ("cat", "dog")),
        Labelled("a text", labels=2.5),
        TextPair("a", "b"),
        TextPair("a", "b", similarity=0.5),
        Tagged("Ann is here", (Span(0, 3, "PER"),)),
        Preference(Chat(ASKED), (Turn("assistant", "a"),), (Turn("assistant", "b"),), 1.5),
        Feedback(Chat((*ASKED, Turn("assistant", "me"))), True),
        Feedback(Chat((*ASKED, Turn("assistant", "me"))), False),
    ],
    ids=lambda example: type(example).__name__,
)
def test_every_other_kind_of_row_comes_back(example: Example) -> None:
    row = row_of(example, "messages")
    assert any(row_of(again, "messages") == row for again in read_back(row, type(example)))
    with pytest.raises(DataError, match="to"):
        row_of(example, "alpaca")


@pytest.mark.parametrize(
    ("turn", "named"),
    [
        (Turn("assistant", "me", reasoning="because"), "reasoning"),
        (Turn("assistant", "me", weight=0.5), "weight"),
        (Turn("assistant", "me", train=False), "train"),
        (Turn("assistant", "me", name="Ann"), "name"),
    ],
)
def test_what_a_layout_has_no_place_for_is_refused(turn: Turn, named: str) -> None:
    chat = Chat((Turn("user", "who?"), turn))
    assert row_of(chat, "messages")["messages"][1]["content"] == "me"
    for layout in ("alpaca", "sharegpt"):
        with pytest.raises(DataError, match=named):
            row_of(chat, layout)
