"""What a row asks, whichever of the usual columns holds it: for rows that say besides what was
thought of the answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tunesmith.data.columns.cells import SAID, SPEAKERS, is_turn, question_in
from tunesmith.data.columns.chats import conversation
from tunesmith.data.columns.messages import pairs, turn_of, turns_in
from tunesmith.data.columns.names import ABOUT, QUESTION, THOUGHTS, ranked
from tunesmith.data.columns.turns import (
    TURNS,
    Row,
    json_list,
    system_turn,
    text_of,
    tool_calls,
    tools_of,
)
from tunesmith.errors import DataError
from tunesmith.examples import Turn
from tunesmith.plain import JsonObject

ASKING = {
    "messages": "the turns before the answers: [{role, content}, …]",
    "conversations": "the same as [{from, value}, …]",
    "prompt": "what is asked: a text, or turns",
    "question": "the same as a text; also query",
    "query": "what is asked",
    "instruction": "what is asked",
    "input": "what the instruction is about; may be empty",
    "system": "a system prompt",
    "history": "earlier rounds: [[question, answer], …]",
}
"""Our names for the fields of what is asked."""

# Anthropic's HH-RLHF holds a whole dialogue in one text.
_DIALOGUE = re.compile(r"\s*\n\n(Human|Assistant):[ ]?")


def asked(row: Row) -> list[Turn]:
    """Returns the turns of a row's question; none where each answer holds the whole
    conversation.
    """
    name = next((name for name in (*TURNS, "prompt") if json_list(row.get(name))), None)
    if name is not None:
        turns = conversation(row, name)
        return (
            turns if any(turn.role == "system" for turn in turns) else [*system_turn(row), *turns]
        )
    parts = [text_of(row, part, required=False) for part in ("instruction", "input")]
    named = {
        name: question_in(row[name]) for name in ("prompt", "question", "query") if name in row
    }
    questions = [text_of(named, name) for name in named]
    whole = "\n\n".join(part for part in parts if part.strip()) or next(
        (text for text in questions if text.strip()), ""
    )
    return [*system_turn(row), *pairs(row), *told(whole, "user")] if whole else system_turn(row)


def asked_by_any_name(row: Row) -> list[Turn]:
    """Returns the turns of a row's question, whatever its column is called: for rows that must have
    one.
    """
    turns = asked(row)
    name = next(iter(ranked([*QUESTION, *ABOUT], row)), None)
    if name is None or any(turn.role == "user" for turn in turns):
        return turns
    if json_list(row[name]):
        return [*turns, *conversation(row, name)]
    return [*turns, *told(text_of(row, name), "user")]


def told(text: str, role: Any) -> list[Turn]:
    """Returns a text as one turn, or as the turns of the dialogue that it writes out."""
    parts = _DIALOGUE.split("\n\n" + text.lstrip()) if text.lstrip().startswith("Human:") else []
    if len(parts) < 3 or parts[0].strip():
        return [Turn(role, text)]
    return [
        turn_of({"role": who, "content": said}, "")
        for who, said in zip(parts[1::2], parts[2::2], strict=True)
    ]


def answers(row: Row, field: str) -> list[Turn]:
    """Returns the turns of one answer: a text, a turn, or several turns, perhaps with all that
    precedes them.
    """
    value = row.get(field)
    turns = json_list(value)
    if value in ([], {}):
        return [Turn("assistant", "")]
    # A text may be a list as JSON writes one, [71] or [{"name": …}], and still be an answer.
    if turns and (isinstance(value, list) or all(map(is_turn, turns))):
        return [turn for n, item in enumerate(turns) for turn in turns_in(item, f"{field}[{n}]")]
    if isinstance(value, dict) and not any(key in value for key in SPEAKERS):
        said = next((value[key] for key in SAID if isinstance(value.get(key), str)), None)
        if said is not None:  # an answer beside what is known of it
            return told(said, "assistant")
    if isinstance(value, dict):
        return [turn_of(value, field)]
    return told(text_of(row, field), "assistant")


def with_more(said: Turn, row: Row) -> tuple[Turn, tuple[JsonObject, ...]]:
    """Returns an answer with what other columns say of it, and the tools that they describe: what
    was thought before it, and that it is the call of a tool.
    """
    tools = _offered(row)
    return _with_thought(_with_calls(said, tools), row), tools


def _with_thought(said: Turn, row: Row) -> Turn:
    """Returns an answer with what the row says in another column was thought before it."""
    held = [row[name] for name in ranked(THOUGHTS, row)]
    thought = next((text.strip() for text in held if isinstance(text, str) and text.strip()), None)
    return said if thought is None or said.reasoning else replace(said, reasoning=thought)


def _with_calls(said: Turn, tools: Sequence[JsonObject]) -> Turn:
    """Returns an answer, the calls in it as such where tools are offered and it is nothing else:
    ``[{"name": …, "arguments": …}]``, as xLAM (Liu et al. 2024) answers.
    """
    if not (tools and said.content.lstrip().startswith(("[", "{"))):
        return said
    try:
        parsed = json.loads(said.content)
    except ValueError:
        return said
    listed = parsed if isinstance(parsed, list) else [parsed]
    calls = [call for call in listed if isinstance(call, dict) and {*call} == {"name", "arguments"}]
    if not calls or len(calls) < len(listed):
        return said
    return replace(said, content="", tool_calls=tool_calls(calls, "answer"))


def _offered(row: Row) -> tuple[JsonObject, ...]:
    """Returns the tools that a row's column of this name describes; none where it holds other
    things, such as the names of what somebody works with.
    """
    try:
        tools = tools_of({"tools": row.get("tools")})
    except DataError:
        return ()
    named = [isinstance(tool["function"], dict) and "name" in tool["function"] for tool in tools]
    return tools if all(named) else ()


def known(row: Row, turns: list[Turn]) -> JsonObject:
    """Returns the row's columns with our names added for its last question and its system
    prompt.
    """
    last = {turn.role: turn.content for turn in turns}
    return {
        **row,
        **{
            ours: last[role]
            for ours, role in (("question", "user"), ("system", "system"))
            if role in last
        },
    }


def flag_of(value: object) -> bool | None:
    """Reads a truth value, also as a table writes it; None for anything else."""
    if isinstance(value, bool):
        return value
    return (
        {"true": True, "false": False}.get(value.strip().lower())
        if isinstance(value, str)
        else None
    )


_GOOD = (
    "1 1.0 +1 good up thumbs_up 👍 like liked yes y desirable positive correct accept accepted "
    "helpful 好 赞 点赞 是 满意 喜欢 采纳 正 有用"
)
_BAD = (
    "0 0.0 -1 -1.0 bad down thumbs_down 👎 dislike disliked no n undesirable negative incorrect "
    "wrong reject rejected unhelpful 坏 差 踩 点踩 否 不满意 不喜欢 不采纳 负 无用"
)
_VERDICTS = {word: good for good, words in ((True, _GOOD), (False, _BAD)) for word in words.split()}


def verdict_of(value: object) -> bool | None:
    """Reads from a column that judges answers whether one is good: a truth value, 1 and 0 or -1, or
    a word such as up and down; None for anything else.
    """
    word = "_".join(str(value).casefold().split())
    return _VERDICTS.get(word, flag_of(value))


def judged(columns: frozenset[str], row: Row) -> bool:
    """Tells whether the rows mark each answer as good or bad."""
    return "kto_tag" in columns or ("label" in columns and flag_of(row.get("label")) is not None)
