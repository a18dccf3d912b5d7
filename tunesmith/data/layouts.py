"""Examples back to rows: what a row means, written so that the readers read the same."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from tunesmith.errors import DataError, Problem
from tunesmith.examples import (
    Chat,
    Example,
    Feedback,
    Labelled,
    Preference,
    Tagged,
    Text,
    TextPair,
    Turn,
)
from tunesmith.plain import JsonObject
from tunesmith.settings.family import READERS
from tunesmith.words import say

Layout = Literal["messages", "alpaca", "sharegpt"]
FIELDS: dict[Layout, tuple[str, ...]] = {
    "messages": ("messages", "tools", "system"),
    "alpaca": ("instruction", "input", "output", "system", "history", "tools"),
    "sharegpt": ("conversations", "tools", "system"),
}
"""What the reader of a layout reads of a conversation's row."""


def row_of(example: Example, layout: Layout) -> JsonObject:
    """Writes an example as a row; ``layout`` is how a conversation is written. Raises DataError
    where the layout has no place for something, so that nothing is lost.
    """
    if isinstance(example, Chat):
        return _CHATS[layout](example)
    if layout != "messages":
        fields = {"layout": layout, "kind": type(example).__name__.lower()}
        raise DataError(Problem("to", say("transforms.only_chats", **fields)))
    return _ROWS[type(example)](example)


def _turn(turn: Turn) -> JsonObject:
    if turn.spans or turn.media:
        raise _no_place("messages", "spans" if turn.spans else "media")
    made: JsonObject = {"role": turn.role, "content": turn.content}
    if turn.reasoning:
        made["reasoning_content"] = turn.reasoning
    if turn.tool_calls:
        made["tool_calls"] = list(turn.tool_calls)
    if turn.name:
        made["name"] = turn.name
    if turn.train is not None:
        made["train"] = turn.train
    if turn.weight != 1.0:
        made["weight"] = turn.weight
    return made


def _turns(turns: tuple[Turn, ...]) -> list[JsonObject]:
    return [_turn(turn) for turn in turns]


def _with_tools(row: JsonObject, chat: Chat) -> JsonObject:
    return {**row, "tools": list(chat.tools)} if chat.tools else row


def _messages(chat: Chat) -> JsonObject:
    return _with_tools({"messages": _turns(chat.turns)}, chat)


def _plain(chat: Chat, layout: str, *, tools: bool) -> None:
    """Raises DataError for what a layout of plain texts has no place for."""
    for turn in chat.turns:
        held: Mapping[str, object] = {
            "spans": turn.spans,
            "media": turn.media,
            "reasoning": turn.reasoning,
            "name": turn.name,
            "train": turn.train is not None,
            "weight": turn.weight != 1.0,
            "tool_calls": turn.tool_calls and not tools,
        }
        for name, value in held.items():
            if value:
                raise _no_place(layout, name)
    if chat.tools and not tools:
        raise _no_place(layout, "tools")


def _alpaca(chat: Chat) -> JsonObject:
    _plain(chat, "alpaca", tools=False)
    if (as_it_was := _own_alpaca(chat)) is not None:
        return as_it_was
    turns = list(chat.turns)
    system = turns.pop(0).content if turns and turns[0].role == "system" else None
    roles = [turn.role for turn in turns]
    if not turns or roles != ["user", "assistant"] * (len(turns) // 2):
        raise _no_place("alpaca", "turns")
    texts = [turn.content for turn in turns]
    row: JsonObject = {"instruction": texts[-2], "input": "", "output": texts[-1]}
    if system is not None:
        row["system"] = system
    if len(texts) > 2:
        row["history"] = [list(pair) for pair in zip(texts[:-2:2], texts[1:-2:2], strict=True)]
    return row


def _own_alpaca(chat: Chat) -> JsonObject | None:
    """Returns the fields of a row that is one of Alpaca's already, whose question is put together
    of two; None for any other.
    """
    alpaca = READERS.get("alpaca")()
    row = {name: chat.columns[name] for name in FIELDS["alpaca"] if name in chat.columns}
    if not {"instruction", "output"} <= row.keys():
        return None
    try:
        return row if alpaca.read(row).turns == chat.turns else None
    except DataError:
        return None


_SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}


def _sharegpt(chat: Chat) -> JsonObject:
    _plain(chat, "sharegpt", tools=True)
    turns: list[dict[str, str]] = []
    for turn in chat.turns:
        if turn.content or not turn.tool_calls:
            turns.append({"from": _SPEAKERS[turn.role], "value": turn.content})
        for call_made in turn.tool_calls:
            if turn.content or len(turn.tool_calls) > 1:
                raise _no_place("sharegpt", "tool_calls")
            function = call_made["function"]
            call = {name: function[name] for name in ("name", "arguments")}
            value = json.dumps(call, ensure_ascii=False)
            turns.append({"from": "function_call", "value": value})
    row: JsonObject = {"conversations": turns}
    if chat.tools:
        row["tools"] = json.dumps(list(chat.tools), ensure_ascii=False)
    return row


def _preference(pair: Preference) -> JsonObject:
    row = {
        "messages": _turns(pair.prompt.turns),
        "chosen": _turns(pair.chosen),
        "rejected": _turns(pair.rejected),
    }
    if pair.margin is not None:
        row["margin"] = pair.margin  # type: ignore[assignment]
    return _with_tools(row, pair.prompt)


def _feedback(judged: Feedback) -> JsonObject:
    return {**_messages(judged.chat), "label": judged.desirable}


def _labelled(row: Labelled) -> JsonObject:
    labels: Any = row.labels
    if isinstance(labels, tuple):
        labels = labels[0] if len(labels) == 1 else list(labels)
    second = {} if row.second is None else {"second": row.second}
    return {"text": row.text, **second, "label": labels}


def _text_pair(pair: TextPair) -> JsonObject:
    made: JsonObject = {"text": pair.text, "second": pair.second}
    if pair.similarity is not None:
        made["similarity"] = None if math.isnan(pair.similarity) else pair.similarity
    return {**made, "negatives": list(pair.negatives)} if pair.negatives else made


def _tagged(row: Tagged) -> JsonObject:
    if row.numbered is not None:
        raise _no_place("messages", "numbered")
    spans = [{"start": span.start, "end": span.end, "label": span.label} for span in row.spans]
    return {"text": row.text, "entities": spans}


def _text(document: Text) -> JsonObject:
    return {"text": document.text}


def _no_place(layout: str, what: str) -> DataError:
    fields = {"layout": layout, "what": say(f"transforms.part_{what}")}
    return DataError(Problem("to", say("transforms.no_place", **fields)))


_CHATS: dict[Layout, Callable[[Chat], JsonObject]] = {
    "messages": _messages,
    "alpaca": _alpaca,
    "sharegpt": _sharegpt,
}
_ROWS: dict[type, Callable[[Any], JsonObject]] = {
    Preference: _preference,
    Feedback: _feedback,
    Labelled: _labelled,
    TextPair: _text_pair,
    Tagged: _tagged,
    Text: _text,
}
