"""A whole conversation in one column, in the shapes in which it is published."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.data.columns.chats import chat_of, conversation, turns_column
from tunesmith.errors import DataError

ROLES = ("role",)


@pytest.mark.parametrize(
    "value",
    [
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}],
        '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]',
        "[{'role': 'user', 'content': 'a'}, {'role': 'assistant', 'content': 'b'}]",
        "[{'from': 'human', 'value': 'a'}\n {'from': 'gpt', 'value': 'b'}]",  # as numpy prints it
        ["a", "b"],
        [{"human": "a", "assistant": "b"}],
    ],
)
def test_each_shape_is_the_same_conversation(value: Any) -> None:
    turns = conversation({"conversation": value}, "conversation")
    assert [(turn.role, turn.content) for turn in turns] == [("user", "a"), ("assistant", "b")]


def test_what_is_no_conversation_is_told_at_its_column() -> None:
    with pytest.raises(DataError, match="messages"):
        conversation({"text": "a"}, "messages")
    with pytest.raises(DataError, match="messages"):
        conversation({"messages": "just a text"}, "messages")


def test_the_column_of_turns_is_the_one_whose_turns_have_the_key() -> None:
    row = {"messages": [], "conversations": [{"from": "human", "value": "a"}]}
    assert turns_column(frozenset(row), row, ("from",)) == "conversations"
    assert turns_column(frozenset(row), row, ROLES) is None
    texts = {"dialog": ["a", "b"]}
    assert turns_column(frozenset(texts), texts, ROLES) is None
    assert turns_column(frozenset(texts), texts, (*ROLES, "")) == "dialog"


def test_a_chat_has_the_rows_system_prompt_and_our_names() -> None:
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "because"},
    ]
    row = {"messages": messages, "system": "s", "topic": 7}
    chat = chat_of(row, ROLES, "messages")
    assert [turn.role for turn in chat.turns] == ["system", "user", "assistant"]
    named = {name: chat.columns[name] for name in ("question", "answer", "reasoning", "system")}
    assert named == {"question": "a", "answer": "b", "reasoning": "because", "system": "s"}
    assert chat.columns["topic"] == 7
