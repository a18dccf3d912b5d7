"""Rows that hold a whole conversation in one column."""

from __future__ import annotations

from typing import Any

from tunesmith.data.columns.media import placed
from tunesmith.data.columns.turns import (
    TURNS,
    Row,
    conversation,
    is_spoken,
    json_list,
    system_turn,
    tools_of,
)
from tunesmith.examples import Chat


def turns_column(columns: frozenset[str], row: Row, keys: tuple[str, ...]) -> str | None:
    """Returns the column whose value is a list of turns that have one of ``keys``; "" among the
    keys allows turns that are not objects.
    """
    for name in TURNS:
        value = json_list(row.get(name)) if name in columns else None
        if not value:
            continue
        first = value[0]
        if (
            any(key in first for key in keys)
            if isinstance(first, dict)
            else ("" in keys and is_spoken(first))
        ):
            return name
    return None


def chat_of(row: Row, keys: tuple[str, ...], default: str) -> Chat:
    """Reads the conversation in the row's column of turns, with its tools and our names for its
    last question and answer.
    """
    name = turns_column(frozenset(row), row, keys) or next(
        (name for name in (default, *TURNS) if name in row), default
    )
    turns = placed(conversation(row, name), row)
    if not any(turn.role == "system" for turn in turns):
        turns = [*system_turn(row), *turns]
    last = {turn.role: turn for turn in turns}
    names = {"question": "user", "answer": "assistant", "system": "system"}
    known: dict[str, Any] = {
        ours: last[role].content for ours, role in names.items() if role in last
    }
    if "assistant" in last and last["assistant"].reasoning:
        known["reasoning"] = last["assistant"].reasoning
    return Chat(tuple(turns), tools_of(row), {**row, **known})
