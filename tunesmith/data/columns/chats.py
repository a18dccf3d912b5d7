"""Rows that hold a whole conversation in one column."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tunesmith.data.columns.cells import SAID, SPEAKERS
from tunesmith.data.columns.finishing import placed
from tunesmith.data.columns.messages import turns_in
from tunesmith.data.columns.names import ANSWER, ranked
from tunesmith.data.columns.turns import (
    TURNS,
    Row,
    as_text,
    field_problem,
    is_speaker,
    is_spoken,
    json_list,
    kind_of,
    shown,
    system_turn,
    tools_of,
)
from tunesmith.examples import Chat, Turn
from tunesmith.plain import JsonObject


def turns_column(columns: frozenset[str], row: Row, keys: tuple[str, ...]) -> str | None:
    """Returns the column whose value is a list of turns that have one of ``keys``; "" among the
    keys allows turns that are not objects.
    """
    for name in TURNS:
        value = json_list(row.get(name)) if name in columns else None
        if not value:
            continue
        first = value[0]
        bare = "" in keys and (
            is_spoken(first) or _in_turn(value) or _by_speaker(value) or bool(_rounds(value))
        )
        if bare or (isinstance(first, dict) and any(key in first for key in keys)):
            return name
    return None


def answered_beside(columns: frozenset[str], row: Row, name: str) -> bool:
    """Tells whether the turns in the column ``name`` end with a question that another column
    answers, as rows for rewards have it.
    """
    return asks_last(row.get(name)) and bool(ranked(ANSWER, columns - {*TURNS}))


def asks_last(value: object) -> bool:
    """Tells whether a cell holds turns of which the user has the last."""
    last = (json_list(value) or [None])[-1]
    return isinstance(last, dict) and any(
        str(last.get(key)).strip().lower() in ("user", "human") for key in SPEAKERS
    )


def conversation(row: Row, name: str) -> list[Turn]:
    """Reads all turns in the column ``name``: one an item; plain texts that user and assistant say
    in turn (LIMA); or objects with a text for each speaker (MOSS).
    """
    if name not in row:
        raise field_problem(name, "reader.absent", columns=", ".join(map(str, row)))
    value = json_list(row[name])
    if value is None:
        fields = {"kind": kind_of(row[name]), "seen": shown(row[name])}
        raise field_problem(name, "reader.not_list", **fields)
    if name in TURNS and _in_turn(value):
        said = [as_text(_said(item), f"{name}[{n}]") for n, item in enumerate(value)]
        return [Turn("assistant" if n % 2 else "user", text) for n, text in enumerate(said)]
    items: list[tuple[str, Any]] = [(f"{name}[{n}]", item) for n, item in enumerate(value)]
    if _by_speaker(value):
        items = [(where, [who, said]) for where, item in items for who, said in item.items()]
    if asking := _rounds(value):
        return [turn for where, item in items for turn in _round(item, asking, where)]
    return _answered(turn for where, item in items for turn in turns_in(item, where))


def _answered(told: Iterable[Turn]) -> list[Turn]:
    """Returns the turns of a conversation in which nobody answers but the "system", as dialogues
    with a machine call it (MultiWOZ, Budzianowski et al. 2018), with these as the answers.
    """
    turns = list(told)
    if any(turn.role == "assistant" for turn in turns):
        return turns
    asked = next((n for n, turn in enumerate(turns) if turn.role == "user"), len(turns))
    return [
        replace(turn, role="assistant") if turn.role == "system" and n > asked else turn
        for n, turn in enumerate(turns)
    ]


def _round(item: Row, asking: tuple[str, str], where: str) -> list[Turn]:
    """Reads a question and its answer, with what XTuner's rounds say besides: a system prompt, and
    that the answer is not trained.
    """
    said = [
        Turn(role, as_text(item[key], f"{where}.{key}"))
        for key, role in zip(asking, ("user", "assistant"), strict=True)
        if item.get(key) is not None
    ]
    if item.get("output_with_loss") is False:
        said = [replace(turn, train=False) if turn.role == "assistant" else turn for turn in said]
    return [*system_turn(item), *said]


_ROUNDS = (
    ("input", "output"),
    ("prompt", "response"),
    ("prompt", "completion"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("query", "response"),
    ("问题", "回答"),
)


def _rounds(value: list[object]) -> tuple[str, str] | None:
    """Returns the keys of question and answer where each item is an object with both."""
    for pair in _ROUNDS:
        if value and all(isinstance(item, dict) and {*pair} <= item.keys() for item in value):
            return pair
    return None


def _in_turn(value: list[object]) -> bool:
    """Tells whether these are texts, perhaps in objects, of which none names its speaker."""
    said = [_said(item) for item in value]
    return len(value) > 1 and all(isinstance(text, str) and not is_spoken(text) for text in said)


def _said(item: object) -> object:
    """Returns the text of a turn that names no speaker, from an object that holds it."""
    if not isinstance(item, dict) or {*SPEAKERS} & item.keys():
        return item
    held = [item[key] for key in SAID if key in item]
    return held[0] if len(held) == 1 else item


def _by_speaker(value: list[object]) -> bool:
    """Tells whether each item is an object of texts by speaker."""
    return bool(value) and all(
        isinstance(item, dict)
        and len(item) > 1
        and all(is_speaker(key) and isinstance(said, str) for key, said in item.items())
        for item in value
    )


def chat_of(row: Row, keys: tuple[str, ...], default: str) -> Chat:
    """Reads the conversation in the row's column of turns, with its tools and our names for its
    last question and answer.
    """
    name = turns_column(frozenset(row), row, keys) or next(
        (name for name in (default, *TURNS) if name in row), default
    )
    turns = placed(conversation(row, name), row)
    tools = tools_of(row) or _tools_of_a_turn(row.get(name))
    if not any(turn.role == "system" for turn in turns):
        turns = [*system_turn(row), *turns]
    last = {turn.role: turn for turn in turns}
    names = {"question": "user", "answer": "assistant", "system": "system"}
    columns: dict[str, object] = {
        ours: last[role].content for ours, role in names.items() if role in last
    }
    if "assistant" in last and last["assistant"].reasoning:
        columns["reasoning"] = last["assistant"].reasoning
    return Chat(tuple(turns), tools, {**row, **columns})


def _tools_of_a_turn(value: object) -> tuple[JsonObject, ...]:
    """Reads the tools that the system's turn lists, as GLM-4's rows have it."""
    for item in json_list(value) or ():
        if isinstance(item, dict) and item.get("tools"):
            return tools_of(item)
    return ()
